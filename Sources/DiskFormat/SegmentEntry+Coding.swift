import StorageUnits

/// Byte offsets in a segment entry.
private enum At {
  static let place = 0
  static let secondPlace = 8
  static let segmentClass = 16
  static let kind = 17
  static let state = 18
  static let currentImage = 19
  static let freeUnits = 20
  static let countPage = 24
  static let countChecksum = 32
  static let attributeChecksum = 36
  static let attributeRoot = 40
  static let reserved = 48
}

extension SegmentEntry {
  private static func offset(_ index: Int) -> Int {
    precondition(index >= 0)
    precondition(index < FormatConstants.segmentsPerPage)
    return FormatConstants.nodeHeaderBytes + index * FormatConstants.segmentEntryBytes
  }

  /// Refuses what the class does not have; called before writing and after reading.
  public func validate() throws(FormatError) {
    if let place {
      try FormatError.require(
        place.isStorable && segmentClass != .lent, .segmentTable, "place")
    } else {
      try FormatError.require(segmentClass == .lent, .segmentTable, "place")
      try FormatError.require(secondPlace == nil, .segmentTable, "secondPlace")
    }
    if let secondPlace {
      try FormatError.require(secondPlace.isStorable, .segmentTable, "secondPlace")
      try FormatError.require(secondPlace != place, .segmentTable, "secondPlace")
    }
    try FormatError.require(countPage.block < 1 << 40, .segmentTable, "countPage")
    try FormatError.require(currentImage <= 1, .segmentTable, "currentImage")
    let hasPage = segmentClass == .data
    try FormatError.require(countPage.isNone || hasPage, .segmentTable, "countPage")
    try FormatError.require(
      currentImage == 0 || segmentClass == .node, .segmentTable, "currentImage")
    let hasChecksum = segmentClass == .node || !countPage.isNone
    try FormatError.require(countChecksum == 0 || hasChecksum, .segmentTable, "countChecksum")
    guard attributeRoot.isNone, attributeChecksum == 0 else {
      throw .reservedNotZero(.segmentTable)
    }
  }

  /// Writes line `index` (0-62) of a page of the segment table.
  public func encode(into node: NodeImage, index: Int) {
    FormatError.assertValid { () throws(FormatError) in try validate() }
    let writer = node.writer(at: Self.offset(index), count: FormatConstants.segmentEntryBytes)
    writer.place(place, At.place)
    writer.place(secondPlace, At.secondPlace)
    writer.u8(segmentClass.rawValue, At.segmentClass)
    writer.u8(currentImage, At.currentImage)
    writer.u32(freeUnits, At.freeUnits)
    writer.u64(countPage.block, At.countPage)
    writer.u32(countChecksum, At.countChecksum)
  }

  /// Reads line `index` (0-62) of a page of the segment table. A line beyond the last segment is
  /// all zero and is refused as one without a place.
  public static func decode(
    from node: NodeImage, index: Int
  ) throws(FormatError) -> SegmentEntry {
    let reader = node.reader(at: offset(index), count: FormatConstants.segmentEntryBytes)
    guard let segmentClass = SegmentClass(rawValue: reader.u8(At.segmentClass)) else {
      throw .unknownKind(.segmentTable)
    }
    // Kind 1 is `scattered`, reserved until it is built.
    guard reader.u8(At.kind) == 0 else { throw .unknownKind(.segmentTable) }
    guard reader.u8(At.state) == 0, reader.isZero(At.reserved..<reader.count) else {
      throw .reservedNotZero(.segmentTable)
    }
    var entry = SegmentEntry(place: try reader.optionalPlace(At.place, .segmentTable))
    entry.secondPlace = try reader.optionalPlace(At.secondPlace, .segmentTable)
    entry.segmentClass = segmentClass
    entry.freeUnits = reader.u32(At.freeUnits)
    entry.countPage = PoolAddress(block: reader.u64(At.countPage))
    entry.countChecksum = reader.u32(At.countChecksum)
    entry.currentImage = reader.u8(At.currentImage)
    entry.attributeRoot = PoolAddress(block: reader.u64(At.attributeRoot))
    entry.attributeChecksum = reader.u32(At.attributeChecksum)
    try entry.validate()
    return entry
  }
}

extension SystemPointer {
  private static func offset(_ index: Int) -> Int {
    precondition(index >= 0)
    precondition(index < FormatConstants.systemPointersPerPage)
    return FormatConstants.nodeHeaderBytes + index * FormatConstants.systemPointerBytes
  }

  /// Writes pointer `index` (0-167) of an inner page of the segment table.
  public func encode(into node: NodeImage, index: Int) {
    precondition(secondPlace != place)
    node.writer(at: Self.offset(index), count: FormatConstants.systemPointerBytes)
      .systemPointer(self, 0)
  }

  /// Reads pointer `index` (0-167) of an inner page of the segment table; nil if it is null.
  public static func decode(
    from node: NodeImage, index: Int
  ) throws(FormatError) -> SystemPointer? {
    try node.reader(at: offset(index), count: FormatConstants.systemPointerBytes)
      .systemPointer(0, .segmentTable)
  }
}

extension NodeImage {
  /// `count` bytes at byte `at`, to be read.
  func reader(at: Int, count: Int) -> FieldReader {
    precondition(at >= 0)
    precondition(at + count <= FormatConstants.blockBytes)
    return unsafe FieldReader(base + at, count: count)
  }

  /// `count` bytes at byte `at`, set to zero, to be written.
  func writer(at: Int, count: Int) -> FieldWriter {
    precondition(at >= 0)
    precondition(at + count <= FormatConstants.blockBytes)
    return unsafe FieldWriter(clearing: base + at, count: count)
  }
}
