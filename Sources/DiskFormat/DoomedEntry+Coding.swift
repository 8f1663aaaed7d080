import StorageUnits

/// Byte offsets in a doomed entry.
private enum At {
  static let id = 0
  static let family = 8
  static let root = 16
  static let cursorEnd = 40
  static let cursorLevel = 48
  static let padding = 49
  static let versionNode = 52
  static let reserved = 56
}

extension DoomedEntry {
  private static func offset(_ index: Int) -> Int {
    precondition(index >= 0)
    precondition(index < FormatConstants.doomedPerLeaf)
    return FormatConstants.nodeHeaderBytes + index * FormatConstants.doomedEntryBytes
  }

  /// Refuses what no writer makes; called before writing and after reading.
  public func validate() throws(FormatError) {
    try FormatError.require(id.number != 0, .doomedEntry, "id")
    try root.validate(.doomedEntry)
    // An entry ends with the drop of its root, and a tree of nothing is never entered.
    try FormatError.require(!root.isNone, .doomedEntry, "root")
    try FormatError.require(cursorLevel <= root.level, .doomedEntry, "cursorLevel")
  }

  /// Writes the entry into slot `index` (0-62) of a leaf of the doomed list.
  public func encode(into node: NodeImage, index: Int) {
    FormatError.assertValid { () throws(FormatError) in try validate() }
    let writer = node.writer(at: Self.offset(index), count: FormatConstants.doomedEntryBytes)
    writer.u64(id.number, At.id)
    writer.u64(family, At.family)
    writer.root(root, At.root)
    writer.u64(cursorEnd.index, At.cursorEnd)
    writer.u8(cursorLevel, At.cursorLevel)
    writer.u32(versionNode.number, At.versionNode)
  }

  /// Empties slot `index` (0-62) of a leaf of the doomed list.
  public static func clear(in node: NodeImage, index: Int) {
    _ = node.writer(at: offset(index), count: FormatConstants.doomedEntryBytes)
  }

  /// Reads slot `index` (0-62) of a leaf of the doomed list; nil if it is empty (all zero).
  public static func decode(
    from node: NodeImage, index: Int
  ) throws(FormatError) -> DoomedEntry? {
    let reader = node.reader(at: offset(index), count: FormatConstants.doomedEntryBytes)
    guard !reader.isZero(0..<reader.count) else { return nil }
    guard reader.isZero(At.reserved..<reader.count),
      reader.isZero(At.padding..<At.versionNode)
    else { throw .reservedNotZero(.doomedEntry) }
    let entry = DoomedEntry(
      id: RecordNumber(reader.u64(At.id)), family: reader.u64(At.family),
      root: try reader.root(At.root, .doomedEntry),
      cursorEnd: VirtualExtent(index: reader.u64(At.cursorEnd)),
      cursorLevel: reader.u8(At.cursorLevel),
      versionNode: ShareEpoch(reader.u32(At.versionNode)))
    try entry.validate()
    return entry
  }
}
