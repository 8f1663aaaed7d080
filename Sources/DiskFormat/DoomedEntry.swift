public import StorageUnits

/// A tree that lost its last owner and is being dropped, children first (64 bytes).
///
/// Nodes are dropped in the order of (end of their span, level). A node of the tree is given up
/// already, and neither counts as a name nor is ever followed, if and only if the pair of its
/// span's end and its level is not above (`cursorEnd`, `cursorLevel`).
public struct DoomedEntry: Hashable, Sendable {
  /// The number of the record that detached it.
  public var id: RecordNumber
  public var family: UInt64
  public var root: TreeRoot
  /// The end of the span (its first extent beyond) of the node that was dropped last; 0 at first.
  public var cursorEnd: VirtualExtent
  /// The level of the node that was dropped last; 0 at first.
  public var cursorLevel: UInt8
  /// The branch point below which the tree lived, and counts as living until its drop is complete
  /// in a durable checkpoint; zero for none.
  public var versionNode: ShareEpoch

  public init(
    id: RecordNumber, family: UInt64, root: TreeRoot, cursorEnd: VirtualExtent, cursorLevel: UInt8,
    versionNode: ShareEpoch = .zero
  ) {
    self.id = id
    self.family = family
    self.root = root
    self.cursorEnd = cursorEnd
    self.cursorLevel = cursorLevel
    self.versionNode = versionNode
  }
}
