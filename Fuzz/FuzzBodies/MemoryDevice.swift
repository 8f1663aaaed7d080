import BlockIO
import StorageUnits

/// A device whose blocks are values, so that a copy of one costs nothing.
@safe final class MemoryDevice: SynchronousDevice {
  let name: String
  let sizeBytes: UInt64
  let logicalBlockBytes = StorageSizes.sectorBytes
  private(set) var blocks: [UInt64: [UInt8]]

  private static let blockBytes = UInt64(StorageSizes.blockBytes)

  init(name: String, sizeBytes: UInt64, blocks: [UInt64: [UInt8]] = [:]) {
    self.name = name
    self.sizeBytes = sizeBytes
    self.blocks = blocks
  }

  func read(at offset: DeviceByteOffset, into buffer: UnsafeMutableRawBufferPointer)
    throws(DeviceError)
  {
    for start in stride(from: 0, to: buffer.count, by: StorageSizes.blockBytes) {
      let part = unsafe UnsafeMutableRawBufferPointer(
        rebasing: buffer[start..<start + StorageSizes.blockBytes])
      if let block = blocks[(offset.bytes + UInt64(start)) / Self.blockBytes] {
        unsafe part.copyBytes(from: block)
      } else {
        unsafe part.initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
  }

  func write(at offset: DeviceByteOffset, from buffer: UnsafeRawBufferPointer)
    throws(DeviceError)
  {
    for start in stride(from: 0, to: buffer.count, by: StorageSizes.blockBytes) {
      blocks[(offset.bytes + UInt64(start)) / Self.blockBytes] = unsafe Array(
        buffer[start..<start + StorageSizes.blockBytes])
    }
  }

  func flush() throws(DeviceError) {}
}
