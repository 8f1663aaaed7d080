import BlockIO
import DiskFormat
import StorageUnits

/// Where superblocks lie on a device, and what was found there.
enum SuperblockSlots {
  /// The byte offsets of all four copies, slot by slot.
  static var offsets: [UInt64] { FormatConstants.superblockOffsets.flatMap { $0 } }

  /// The offsets of the copies that a superblock goes to: its slot is its sequence modulo 2.
  static func offsets(sequence: UInt64) -> [UInt64] {
    FormatConstants.superblockOffsets[Int(sequence % 2)]
  }

  /// Writes both copies; durable after a flush.
  static func write(
    _ superblock: Superblock, to device: any SynchronousDevice
  ) throws(DeviceError) {
    let memory = AlignedMemory(byteCount: FormatConstants.superblockBytes)
    var span = unsafe memory.bytes.mutableBytes
    superblock.encode(into: &span)
    for offset in offsets(sequence: superblock.sequence) {
      try unsafe device.write(
        at: DeviceByteOffset(offset), from: UnsafeRawBufferPointer(memory.bytes))
    }
  }

  /// Overwrites all copies with zeros and makes that durable, so that nothing takes the device for
  /// what it was.
  static func erase(on device: any SynchronousDevice) throws(DeviceError) {
    let memory = AlignedMemory(byteCount: FormatConstants.superblockBytes)
    for offset in offsets {
      try unsafe device.write(
        at: DeviceByteOffset(offset), from: UnsafeRawBufferPointer(memory.bytes))
    }
    try device.flush()
  }

  /// What one copy holds.
  enum Copy: Hashable {
    case superblock(Superblock)
    /// Nothing that looks like one.
    case absent
    case damaged(FormatError)
    /// A version of the format that this program does not know.
    case otherVersion
    /// Intact, with features that this program must not touch.
    case unknownFeatures(UInt64)
    case unreadable(DeviceError)
  }

  /// Reads all four copies, slot by slot.
  static func read(from device: any SynchronousDevice) -> [Copy] {
    let memory = AlignedMemory(byteCount: FormatConstants.superblockBytes)
    return offsets.map { offset in
      guard offset + UInt64(memory.byteCount) <= device.sizeBytes else { return .absent }
      do throws(DeviceError) {
        try unsafe device.read(at: DeviceByteOffset(offset), into: memory.bytes)
      } catch { return .unreadable(error) }
      return decode(memory)
    }
  }

  private static func decode(_ memory: borrowing AlignedMemory) -> Copy {
    do throws(FormatError) {
      return .superblock(try unsafe Superblock(decoding: memory.bytes.bytes))
    } catch {
      switch error {
      case .badMagic: return .absent
      case .unknownVersion: return .otherVersion
      case .unknownFeatures(let bits): return .unknownFeatures(bits)
      default: return .damaged(error)
      }
    }
  }
}
