import DiskFormat
import StorageUnits

/// What is known of the extents of data segments: how many leaves name each, for which virtual
/// extent of which family, and whether a volume may write into it. 6 bytes an extent, 96 MiB for
/// each TiB of data segments; a packed layer, which version 1 does not write, takes about 150 more
/// for its extent.
///
/// The virtual extent is kept as a hash of 32 bits: of 2^32 extents with two owners one is missed.
struct ExtentTable {
  enum Conflict { case otherPlace, sharedWritable, packedOverlap }

  private let shift: UInt64
  /// By segment: where its extents start in the two arrays, in segments; -1: no data segment.
  private var starts: [Int32]
  /// Low 15 bits: the number of names, up to `manyNames`. High bit: a volume may write into it.
  private var names: [UInt16]
  private var homes: [UInt32]
  /// The rest of counts that are greater.
  private var more: [UInt64: UInt32] = [:]
  /// By extent, the homes of its 16 blocks.
  private var packed: [UInt64: [UInt32]] = [:]

  private static let manyNames: UInt16 = 0x7FFF
  private static let writableFlag: UInt16 = 0x8000
  /// In `homes`: see `packed`.
  private static let isPacked: UInt32 = 1

  init() {
    shift = 0
    starts = []
    names = []
    homes = []
  }

  init(_ segments: [SegmentEntry], segmentShift: UInt8) {
    shift = UInt64(segmentShift) - 4
    var count: Int32 = 0
    starts = segments.map { entry in
      guard entry.segmentClass == .data else { return -1 }
      count += 1
      return count - 1
    }
    names = [UInt16](repeating: 0, count: Int(count) << Int(shift))
    homes = [UInt32](repeating: 0, count: Int(count) << Int(shift))
  }

  /// The extent's place in the arrays; nil: it belongs to no data segment.
  private func slot(_ extent: UInt64) -> Int? {
    let segment = extent >> shift
    guard segment < UInt64(starts.count) else { return nil }
    let start = starts[Int(segment)]
    guard start >= 0 else { return nil }
    return Int(start) << Int(shift) + Int(extent & (1 << shift - 1))
  }

  /// One more leaf names the extent.
  mutating func name(_ extent: UInt64) {
    guard let slot = slot(extent) else { return }
    if names[slot] & Self.manyNames == Self.manyNames {
      more[extent, default: 0] += 1
    } else {
      names[slot] += 1
    }
  }

  func names(of extent: UInt64) -> UInt32 {
    guard let slot = slot(extent) else { return 0 }
    let count = names[slot] & Self.manyNames
    return UInt32(count) + (count == Self.manyNames ? more[extent] ?? 0 : 0)
  }

  // MARK: Homes

  /// Notes for which virtual extent an extent is named. A plain extent belongs to one virtual
  /// extent of one family, and if a volume may write into it, to that volume alone. (`isWritable`
  /// of a volume that names it again: then two entries of it do.)
  mutating func settle(
    _ layer: Layer, at extent: VirtualExtent, family: UInt64, isWritable: Bool
  ) -> Conflict? {
    let index = layer.address.extent.index
    guard let slot = slot(index) else { return nil }
    let home = Self.home(family, extent)
    if layer.isPacked { return settlePacked(layer, index, slot, home) }
    guard homes[slot] != 0 else {
      homes[slot] = home
      if isWritable { names[slot] |= Self.writableFlag }
      return nil
    }
    if homes[slot] != home { return .otherPlace }
    let wasWritable = names[slot] & Self.writableFlag != 0
    return isWritable || wasWritable ? .sharedWritable : nil
  }

  /// Whether a record may give the extent to this virtual extent: nothing else names it.
  mutating func admit(_ extent: UInt64, for virtual: VirtualExtent, family: UInt64) -> Bool {
    guard let slot = slot(extent) else { return true }
    let home = Self.home(family, virtual)
    if homes[slot] == 0 { homes[slot] = home }
    return homes[slot] == home || homes[slot] == Self.isPacked
  }

  private mutating func settlePacked(
    _ layer: Layer, _ index: UInt64, _ slot: Int, _ home: UInt32
  ) -> Conflict? {
    guard homes[slot] == 0 || homes[slot] == Self.isPacked else { return .otherPlace }
    homes[slot] = Self.isPacked
    var blocks = packed[index] ?? [UInt32](repeating: 0, count: 16)
    let first = Int(layer.address.block & 15)
    var conflict: Conflict?
    for block in first..<min(first + layer.mask.count, 16) {
      if blocks[block] != 0 && blocks[block] != home { conflict = .packedOverlap }
      blocks[block] = home
    }
    packed[index] = blocks
    return conflict
  }

  /// The finaliser of MurmurHash3 over both numbers; 0 and 1 are not homes.
  private static func home(_ family: UInt64, _ extent: VirtualExtent) -> UInt32 {
    var x = family &* 0x9E37_79B9_7F4A_7C15 ^ extent.index
    x = (x ^ x >> 33) &* 0xFF51_AFD7_ED55_8CCD
    x = (x ^ x >> 33) &* 0xC4CE_B9FE_1A85_EC53
    return max(2, UInt32(truncatingIfNeeded: x ^ x >> 33))
  }
}
