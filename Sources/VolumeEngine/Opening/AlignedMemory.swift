/// Memory that direct I/O can use (4096-byte aligned), freed with its owner. Zero at first.
@safe struct AlignedMemory: ~Copyable {
  let bytes: UnsafeMutableRawBufferPointer

  init(byteCount: Int) {
    precondition(byteCount > 0)
    unsafe bytes = .allocate(byteCount: byteCount, alignment: 4096)
    _ = unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe bytes.deallocate() }

  var byteCount: Int { unsafe bytes.count }

  /// `count` 4 KiB blocks from block `first` on.
  func blocks(_ first: Int, count: Int = 1) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[first * 4096..<(first + count) * 4096])
  }
}
