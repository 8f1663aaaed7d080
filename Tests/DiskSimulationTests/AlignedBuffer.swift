/// Memory for one command, aligned as the contract asks.
@safe final class AlignedBuffer {
  let pointer: UnsafeMutableRawPointer
  let count: Int

  init(count: Int, filledWith byte: UInt8 = 0) {
    unsafe pointer = .allocate(byteCount: count, alignment: 4096)
    self.count = count
    fill(byte)
  }
  deinit { unsafe pointer.deallocate() }

  func fill(_ byte: UInt8) {
    unsafe pointer.initializeMemory(as: UInt8.self, repeating: byte, count: count)
  }
  var bytes: [UInt8] {
    unsafe [UInt8](UnsafeRawBufferPointer(start: pointer, count: count))
  }
}
