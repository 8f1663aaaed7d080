import StorageUnits

extension Layer {
  /// Refuses what version 1 does not know or no writer makes.
  @inline(__always) func validate(_ structure: FormatError.Structure) throws(FormatError) {
    // Length (bits 3-6) belongs to kind 2.
    guard flags & 0x78 == 0 else { throw .reservedNotZero(structure) }
    guard kind <= 1 else { throw .unknownKind(structure) }
    if isNone {
      // Only a birth may be left, so that a diff sees what was emptied.
      guard flags == 0, mask.isEmpty else { throw .badField(structure, "emptyLayer") }
      return
    }
    guard address.block < 1 << 40 else { throw .badField(structure, "address") }
    if isPacked {
      let last = Int(address.block & 15) + mask.count
      guard !isProvisioned, !mask.isEmpty, last <= StorageSizes.blocksPerExtent else {
        throw .badField(structure, "packedLayer")
      }
    } else {
      guard address.block & 15 == 0 else { throw .badField(structure, "address") }
      guard isProvisioned || !mask.isEmpty else { throw .badField(structure, "mask") }
    }
  }
}

extension MapEntry {
  /// Refuses an entry that version 1 does not know or no writer makes: an overlap of the masks, an
  /// unknown kind, a reserved bit, a plain address inside an extent, a packed layer that leaves its
  /// extent, a layer that holds nothing, two plain layers on one extent.
  public func validate() throws(FormatError) { try validate(.node) }

  @inline(__always) func validate(_ structure: FormatError.Structure) throws(FormatError) {
    try upper.validate(structure)
    try lower.validate(structure)
    let cleared = (upper.flags | lower.flags) & Layer.clearedFlag != 0
    guard !cleared || upper.flags & Layer.clearedFlag == 0 && !upper.isNone else {
      throw .reservedNotZero(structure)
    }
    guard !upper.mask.intersects(lower.mask) else { throw .badField(structure, "masks") }
    guard upper.isNone || upper.isPacked || upper.address != lower.address else {
      throw .badField(structure, "layers")
    }
  }
}

extension NodePointer {
  /// Refuses a pointer that was never meant for a disk: the memory flag and all others are zero
  /// there, and a null pointer has no checksum (only a birth).
  public func validate() throws(FormatError) { try validate(.node) }

  @inline(__always) func validate(_ structure: FormatError.Structure) throws(FormatError) {
    guard flags == 0 else { throw .reservedNotZero(structure) }
    guard address.block < 1 << 40 else { throw .badField(structure, "address") }
    guard !isNone || checksum == 0 else { throw .badField(structure, "checksum") }
  }
}

extension TreeRoot {
  /// A valid pointer and a level that exists.
  func validate(_ structure: FormatError.Structure) throws(FormatError) {
    try pointer.validate(structure)
    guard level <= FormatConstants.maximumLevel else { throw .badField(structure, "level") }
  }
}
