import CBlockIO
import Glibc
public import StorageUnits

extension FileDevice {
  /// The depth of a batch: where SSDs come near their best.
  private static let batchDepth = 64

  /// Reads the ranges 64 deep through a ring of its own. What the ring does not finish in one piece
  /// (an end of file, an error) is read again alone, which gives it its result.
  public func readBatch(
    _ reads: [(offset: DeviceByteOffset, buffer: UnsafeMutableRawBufferPointer)]
  ) throws(DeviceError) {
    guard unsafe reads.count > 1, let ring = Self.batchRing() else {
      for unsafe(offset, buffer) in unsafe reads {
        try unsafe read(at: offset, into: buffer)
      }
      return
    }
    var next = 0
    var inFlight = 0
    var unfinished: [Int] = []
    var firstError: DeviceError?
    while unsafe next < reads.count || inFlight > 0 {
      while unsafe next < reads.count && inFlight < Self.batchDepth {
        let read = unsafe reads[next]
        let pushed = unsafe ring.push(
          IORING_OP_READ, file: descriptor, offset: read.offset.bytes,
          address: UInt64(UInt(bitPattern: read.buffer.baseAddress)),
          length: UInt32(clamping: read.buffer.count), tag: UInt64(next))
        guard pushed else { break }
        next += 1
        inFlight += 1
      }
      // The buffers are the kernel's until everything in flight has completed, whatever the error.
      let status = ring.turn(timeoutNanoseconds: .max)
      precondition(status >= 0 || [EINTR, EAGAIN, EBUSY].contains(-status))
      while ring.readyCount > 0 {
        let completion = ring.pop()
        inFlight -= 1
        let index = Int(completion.tag)
        if unsafe Int(completion.result) != reads[index].buffer.count { unfinished.append(index) }
      }
    }
    for index in unfinished {
      do throws(DeviceError) {
        try unsafe read(at: reads[index].offset, into: reads[index].buffer)
      } catch { firstError = firstError ?? error }
    }
    if let firstError { throw firstError }
  }

  private static func batchRing() -> Ring? {
    do throws(RingError) {
      let ring = try Ring(submissionEntries: batchDepth, completionEntries: batchDepth * 2)
      try ring.enable()
      return ring
    } catch { return nil }
  }
}
