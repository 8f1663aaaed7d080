import DiskFormat

extension RecordFormat {
  /// The length of the encoded record at `offset`, header included, as its header says. For bytes
  /// that this program encoded itself.
  static func byteCount(ofRecordAt offset: Int, in bytes: UnsafeRawBufferPointer) -> Int {
    precondition(offset >= 0)
    precondition(offset + headerBytes <= bytes.count)
    let payload = unsafe UInt16(
      littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self))
    let length = headerBytes + Int(payload)
    precondition(length <= maximumBytes)
    precondition(offset + length <= bytes.count)
    return length
  }
}
