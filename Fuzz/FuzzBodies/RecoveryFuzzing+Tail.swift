import DiskFormat
import StorageUnits
import VolumeEngine

extension RecoveryFuzzing {
  private static let capacity = TailFrame.minimumRingBytes

  /// A tail whose frames have good checksums: the records that count are consecutive, later than
  /// the journal's last, and as many as were framed at the most.
  static func tail(_ input: inout RecoveryInput) throws(BrokenProperty) {
    let pool = StorageUUID(high: 1, low: 2)
    let boot = StorageUUID(high: 8, low: 9)
    var memory = [UInt8](repeating: 0, count: TailHeader.byteCount + capacity)
    let header = TailHeader(
      poolUUID: pool, logGeneration: 5, bootID: boot, capacityBytes: UInt64(capacity))
    unsafe memory.withUnsafeMutableBytes { unsafe header.encode(into: $0) }
    // What the journal ended with was read, so it is a number that can be.
    let last = RecordNumber(
      min(input.pick(RecoveryInput.edges), FormatConstants.counterLimit - 1))
    let start = UInt64(input.byte()) * 64 + (input.flag() ? UInt64.max - 32767 : 0)
    for i in 0..<8 {
      memory[TailHeader.startOffset + i] = UInt8(truncatingIfNeeded: start >> UInt64(8 * i))
    }
    var position = start
    var number = last.number &+ 1
    var frames = 0
    while !input.isEmpty && frames < 200 {
      let oddities = input.byte()
      if oddities & 1 != 0 { number = input.near(number) }
      if oddities & 2 != 0 { number = input.pick(RecoveryInput.edges) }
      place(
        encodedRecord(&input), number: number, generation: oddities & 4 != 0 ? 4 : 5,
        at: &position, in: &memory)
      number = number &+ 1
      frames += 1
    }
    // Bytes that no server wrote.
    if let tear = memory.indices.last, input.flag() { memory[tear - 100] ^= 0xFF }
    try read(
      memory,
      TailReading.Expectation(pool: pool, logGeneration: 5, bootID: boot, lastRecord: last),
      frames: frames)
  }

  private static func place(
    _ record: [UInt8], number: UInt64, generation: UInt64, at position: inout UInt64,
    in memory: inout [UInt8]
  ) {
    var frame = [UInt8](repeating: 0, count: TailFrame.byteCount(recordBytes: record.count))
    frame.replaceSubrange(
      TailFrame.headerBytes..<TailFrame.headerBytes + record.count, with: record)
    unsafe frame.withUnsafeMutableBytes {
      _ = unsafe TailFrame.encode(
        record: RecordNumber(number), logGeneration: generation, recordBytes: record.count,
        into: $0)
    }
    let ring = UInt64(capacity)
    let left = ring - position % ring
    if left < UInt64(TailFrame.maximumBytes) { position = position &+ left }
    let offset = TailHeader.byteCount + Int(position % ring)
    memory.replaceSubrange(offset..<offset + frame.count, with: frame)
    position = position &+ UInt64(frame.count)
  }

  private static func read(
    _ memory: [UInt8], _ expectation: TailReading.Expectation, frames: Int
  ) throws(BrokenProperty) {
    var given: [RecordNumber] = []
    var lastNumber = RecordNumber(0)
    unsafe memory.withUnsafeBytes { bytes in
      let reading = unsafe TailReading(of: bytes, expecting: expectation)
      lastNumber = reading.lastNumber()
      reading.forEachRecord { number, _ in given.append(number) }
    }
    try BrokenProperty.unless(given.count <= frames, "more records than were framed")
    var expected = expectation.lastRecord
    for number in given {
      try BrokenProperty.unless(number.number == expected.number &+ 1, "a gap in the tail")
      expected = number
    }
    try BrokenProperty.unless(expected == lastNumber, "the last record that counts is not given")
  }
}
