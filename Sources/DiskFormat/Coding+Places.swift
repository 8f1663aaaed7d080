import StorageUnits

// A place on a device takes 8 bytes: the offset in 4 KiB units in the low 48 bits, the device's
// index in the high 16. All zero means none, and is never a real place: offset 0 is left alone.

extension FieldWriter {
  func place(_ place: DevicePlace?, _ at: Int) {
    guard let place else { return }
    precondition(place.isStorable)
    u64(place.block | UInt64(place.device.index) << 48, at)
  }

  func systemPointer(_ pointer: SystemPointer?, _ at: Int) {
    guard let pointer else { return }
    place(pointer.place, at)
    place(pointer.secondPlace, at + 8)
    u32(pointer.checksum, at + 16)
  }

  /// 24 bytes: the pointer as in a node, the level, seven reserved.
  func root(_ root: TreeRoot, _ at: Int) {
    precondition(!root.pointer.isInMemory)
    precondition(root.pointer.address.block < 1 << 40)
    u64(root.pointer.address.block | UInt64(root.pointer.flags) << 40, at)
    u32(root.pointer.checksum, at + 8)
    u32(root.pointer.birth.number, at + 12)
    u8(root.level, at + 16)
  }
}

extension FieldReader {
  /// The place at `at`, nil for none.
  func optionalPlace(
    _ at: Int, _ structure: FormatError.Structure
  ) throws(FormatError) -> DevicePlace? {
    let word = u64(at)
    guard word != 0 else { return nil }
    let place = DevicePlace(
      device: DeviceIndex(index: UInt16(truncatingIfNeeded: word >> 48)),
      block: word & 0xFFFF_FFFF_FFFF)
    try FormatError.require(place.isStorable, structure, "place")
    return place
  }

  /// The place at `at`, which must be one.
  func place(_ at: Int, _ structure: FormatError.Structure) throws(FormatError) -> DevicePlace {
    guard let place = try optionalPlace(at, structure) else { throw .badField(structure, "place") }
    return place
  }

  /// The second place at `at`, nil for none; not the same as the first.
  func secondPlace(
    _ at: Int, besides first: DevicePlace, _ structure: FormatError.Structure
  ) throws(FormatError) -> DevicePlace? {
    let second = try optionalPlace(at, structure)
    try FormatError.require(second != first, structure, "secondPlace")
    return second
  }

  /// The 24 bytes at `at`: all zero is nil.
  func systemPointer(
    _ at: Int, _ structure: FormatError.Structure
  ) throws(FormatError) -> SystemPointer? {
    if isZero(at..<at + FormatConstants.systemPointerBytes) { return nil }
    guard u32(at + 20) == 0 else { throw .reservedNotZero(structure) }
    let first = try place(at, structure)
    return SystemPointer(
      place: first, secondPlace: try secondPlace(at + 8, besides: first, structure),
      checksum: u32(at + 16))
  }

  func root(_ at: Int, _ structure: FormatError.Structure) throws(FormatError) -> TreeRoot {
    let word = u64(at)
    guard word >> 48 == 0, isZero(at + 17..<at + 24) else { throw .reservedNotZero(structure) }
    let root = TreeRoot(
      pointer: NodePointer(
        address: PoolAddress(block: word & 0xFF_FFFF_FFFF),
        flags: UInt8(truncatingIfNeeded: word >> 40), checksum: u32(at + 8),
        birth: ShareEpoch(u32(at + 12))), level: u8(at + 16))
    try root.validate(structure)
    return root
  }
}

extension DevicePlace {
  /// Offset 0 never belongs to a structure; offsets have 48 bits.
  var isStorable: Bool { block != 0 && block < 1 << 48 }
}
