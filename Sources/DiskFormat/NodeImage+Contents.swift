extension NodeImage {
  /// Refuses entries that version 1 does not know or no writer makes, and reserved bytes that are
  /// not zero, in a node whose header was accepted by `open`. Reads all 4096 bytes.
  public func validateContents(_ header: NodeHeader) throws(FormatError) {
    switch (header.type, header.level) {
    case (.countPage, _):
      try requireZero(from: FormatConstants.nodeHeaderBytes + FormatConstants.countsPerPage * 3)
    case (.map, 0):
      for i in 0..<FormatConstants.entriesPerLeaf { try entry(i).validate() }
    case (.catalogue, 0):
      for i in 0..<FormatConstants.volumesPerLeaf {
        _ = try VolumeRecord.decode(from: self, slot: i)
      }
    case (.doomed, 0):
      for i in 0..<FormatConstants.doomedPerLeaf {
        _ = try DoomedEntry.decode(from: self, index: i)
      }
    case (.versionTree, 0):
      for i in 0..<FormatConstants.versionNodesPerLeaf {
        _ = try VersionNode.decode(from: self, index: i)
      }
    case (.bookmarks, 0):
      for i in 0..<FormatConstants.bookmarksPerLeaf {
        _ = try Bookmark.decode(from: self, index: i)
      }
      let end = FormatConstants.bookmarksPerLeaf * FormatConstants.bookmarkBytes
      try requireZero(from: FormatConstants.nodeHeaderBytes + end)
    case (.holds, 0):
      for i in 0..<FormatConstants.holdsPerLeaf { _ = try HoldEntry.decode(from: self, index: i) }
      try requireZero(
        from: FormatConstants.nodeHeaderBytes
          + FormatConstants.holdsPerLeaf * FormatConstants.holdEntryBytes)
    case (.owed, 0):
      for i in 0..<FormatConstants.owedPerLeaf { _ = try OwedRange.decode(from: self, index: i) }
    case (.segmentTable, 0): try validateSegmentLines()
    case (.segmentTable, _):
      for i in 0..<FormatConstants.systemPointersPerPage {
        _ = try SystemPointer.decode(from: self, index: i)
      }
    case (.map, _), (.catalogue, _), (.doomed, _), (.versionTree, _), (.bookmarks, _),
      (.holds, _), (.owed, _):
      for i in 0..<FormatConstants.pointersPerNode {
        guard load16(pointerOffset(i) + 6) == 0 else { throw .reservedNotZero(.node) }
        try pointer(i).validate()
      }
    }
  }

  private func pointerOffset(_ index: Int) -> Int {
    FormatConstants.nodeHeaderBytes + index * FormatConstants.pointerBytes
  }

  /// The lines of a page of the segment table are used from the first on; the rest are zero.
  private func validateSegmentLines() throws(FormatError) {
    for i in 0..<FormatConstants.segmentsPerPage {
      let at = FormatConstants.nodeHeaderBytes + i * FormatConstants.segmentEntryBytes
      let line = reader(at: at, count: FormatConstants.segmentEntryBytes)
      if line.isZero(0..<line.count) { return try requireZero(from: at) }
      _ = try SegmentEntry.decode(from: self, index: i)
    }
  }

  private func requireZero(from at: Int) throws(FormatError) {
    let count = FormatConstants.blockBytes - at
    guard reader(at: at, count: count).isZero(0..<count) else { throw .reservedNotZero(.node) }
  }
}
