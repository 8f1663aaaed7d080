import DiskFormat
import StorageUnits
import Testing

@Suite struct TailPositionTests {
  @Test func noFrameCrossesTheEndOfTheRing() {
    var random = SeededRandom(seed: 11)
    for capacity in [4096, 4104, 8192, 65536] as [UInt64] {
      var position: UInt64 = 0
      for _ in 0..<2000 {
        let start = TailFrame.start(from: position, capacity: capacity)
        #expect(start >= position)
        #expect(start - position < UInt64(TailFrame.maximumBytes))
        #expect(start % capacity + UInt64(TailFrame.maximumBytes) <= capacity)
        let record = 4 * Int.random(in: 1...120, using: &random)
        position = start + UInt64(TailFrame.byteCount(recordBytes: record))
        #expect(position % 8 == 0)
      }
    }
  }

  /// A ring that was filled several times over is read back from the oldest frame on, and ends
  /// where the numbers no longer follow each other.
  @Test func framesAreReadBackToTheNewest() throws {
    var random = SeededRandom(seed: 12)
    let capacity: UInt64 = 4096
    var ring = [UInt8](repeating: 0, count: Int(capacity))
    var position: UInt64 = 0
    var starts: [(UInt64, UInt64)] = []
    for number in 1...500 as ClosedRange<UInt64> {
      let start = TailFrame.start(from: position, capacity: capacity)
      let frame = tailFrame(random.record(), number: RecordNumber(number), generation: 5)
      let at = Int(start % capacity)
      ring.replaceSubrange(at..<at + frame.count, with: frame)
      position = start + UInt64(frame.count)
      starts.append((number, start))
    }
    let (oldest, start) = starts[starts.count - 4]
    var at = start
    var number = oldest
    while true {
      at = TailFrame.start(from: at, capacity: capacity)
      let rest = Array(ring[Int(at % capacity)...])
      guard let frame = try? decodeTailFrame(rest), frame.record.number == number else { break }
      at += UInt64(frame.length)
      number += 1
    }
    #expect(number == 501)
  }
}
