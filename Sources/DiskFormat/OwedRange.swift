public import StorageUnits

/// Blocks of a volume whose discard is owed: they read as zeros, whatever the map says of them, and
/// their bits are cleared in the map when there is space for its nodes (24 bytes).
@frozen public struct OwedRange: Hashable, Sendable {
  public var volume: VolumeID
  /// In blocks of the volume.
  public var firstBlock: UInt64
  /// At least 1.
  public var blockCount: UInt64

  @inlinable public init(volume: VolumeID, firstBlock: UInt64, blockCount: UInt64) {
    self.volume = volume
    self.firstBlock = firstBlock
    self.blockCount = blockCount
  }

  /// The first block behind the range.
  @inlinable public var endBlock: UInt64 { firstBlock + blockCount }
  @inlinable public var byteCount: UInt64 { blockCount * UInt64(StorageSizes.blockBytes) }
}

/// What becomes of owed discards, as a record says it.
@frozen public struct OwedChange: Hashable, Sendable {
  @frozen public enum Action: UInt8, Sendable {
    /// The whole range is owed from now on, what was owed of it before included.
    case owe = 1
    /// Nothing of the range is owed any more: it was discarded, or something was written there.
    case settle = 2
  }
  public var action: Action
  public var range: OwedRange

  public init(_ action: Action, _ range: OwedRange) {
    self.action = action
    self.range = range
  }
}

/// Byte offsets in an owed range.
private enum At {
  static let volume = 0
  static let firstBlock = 8
  static let blockCount = 16
}

extension OwedRange {
  private static func offset(_ index: Int) -> Int {
    precondition(index >= 0)
    precondition(index < FormatConstants.owedPerLeaf)
    return FormatConstants.nodeHeaderBytes + index * FormatConstants.owedRangeBytes
  }

  /// Refuses what no writer makes; called before writing and after reading.
  public func validate() throws(FormatError) {
    try FormatError.require(volume.number != 0, .owed, "volume")
    try FormatError.requireCounter(volume.number, .owed, "volume")
    let end = firstBlock.addingReportingOverflow(blockCount)
    let blocksAtMost = StorageSizes.maximumVolumeBytes / UInt64(StorageSizes.blockBytes)
    try FormatError.require(
      blockCount > 0 && !end.overflow && end.partialValue <= blocksAtMost, .owed, "blockCount")
  }

  /// Writes the range into slot `index` (0-167) of a leaf of the list.
  public func encode(into node: NodeImage, index: Int) {
    encode(into: node.writer(at: Self.offset(index), count: FormatConstants.owedRangeBytes))
  }

  func encode(into writer: FieldWriter) {
    FormatError.assertValid { () throws(FormatError) in try validate() }
    writer.u64(volume.number, At.volume)
    writer.u64(firstBlock, At.firstBlock)
    writer.u64(blockCount, At.blockCount)
  }

  /// Reads slot `index` (0-167) of a leaf of the list; nil if it is empty (all zero).
  public static func decode(from node: NodeImage, index: Int) throws(FormatError) -> OwedRange? {
    let reader = node.reader(at: offset(index), count: FormatConstants.owedRangeBytes)
    guard !reader.isZero(0..<reader.count) else { return nil }
    return try OwedRange(decoding: reader)
  }

  init(decoding reader: FieldReader) throws(FormatError) {
    self.init(
      volume: VolumeID(reader.u64(At.volume)), firstBlock: reader.u64(At.firstBlock),
      blockCount: reader.u64(At.blockCount))
    try validate()
  }
}
