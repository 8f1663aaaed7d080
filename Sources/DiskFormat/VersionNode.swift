public import StorageUnits

/// A branch point of the version tree: a snapshot was made here, and something still lives below
/// (16 bytes).
///
/// What lives below one with a greater epoch lives below its parents too. A branch point goes when
/// nothing is left below it; one with a single branch below and nothing of its own is passed over.
public struct VersionNode: Hashable, Sendable {
  /// The share epoch at which the snapshot was made; no two branch points share one.
  public var epoch: ShareEpoch
  /// The epoch of the branch point above, less than its own; zero for none.
  public var parent: ShareEpoch

  public init(epoch: ShareEpoch, parent: ShareEpoch) {
    self.epoch = epoch
    self.parent = parent
  }
}

/// Byte offsets in a version node.
private enum At {
  static let epoch = 0
  static let parent = 4
  static let reserved = 8
}

extension VersionNode {
  private static func offset(_ index: Int) -> Int {
    precondition(index >= 0)
    precondition(index < FormatConstants.versionNodesPerLeaf)
    return FormatConstants.nodeHeaderBytes + index * FormatConstants.versionNodeBytes
  }

  /// Refuses what no writer makes; called before writing and after reading.
  public func validate() throws(FormatError) {
    try FormatError.require(epoch.number != 0, .versionNode, "epoch")
    try FormatError.require(parent < epoch, .versionNode, "parent")
  }

  /// Writes the branch point into slot `index` (0-251) of a leaf of the version tree.
  public func encode(into node: NodeImage, index: Int) {
    FormatError.assertValid { () throws(FormatError) in try validate() }
    let writer = node.writer(at: Self.offset(index), count: FormatConstants.versionNodeBytes)
    writer.u32(epoch.number, At.epoch)
    writer.u32(parent.number, At.parent)
  }

  /// Reads slot `index` (0-251) of a leaf of the version tree; nil if it is empty (all zero).
  public static func decode(
    from node: NodeImage, index: Int
  ) throws(FormatError) -> VersionNode? {
    let reader = node.reader(at: offset(index), count: FormatConstants.versionNodeBytes)
    guard !reader.isZero(0..<reader.count) else { return nil }
    guard reader.isZero(At.reserved..<reader.count) else { throw .reservedNotZero(.versionNode) }
    let entry = VersionNode(
      epoch: ShareEpoch(reader.u32(At.epoch)), parent: ShareEpoch(reader.u32(At.parent)))
    try entry.validate()
    return entry
  }
}
