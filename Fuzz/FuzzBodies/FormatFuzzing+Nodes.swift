import DiskFormat
import StorageUnits

extension FormatFuzzing {
  static func node(_ input: FormatInput) throws(BrokenProperty) {
    var bytes = input.resized(to: FormatConstants.blockBytes)
    if input.preparation != .raw { Mending.mend(&bytes, field: 60) }
    let memory = BlockMemory(bytes)
    guard let header = try? memory.node.open() else { return }
    guard (try? memory.node.validateContents(header)) != nil else { return }
    let copy = BlockMemory([UInt8](repeating: 0, count: FormatConstants.blockBytes))
    do throws(FormatError) {
      try copyContents(of: memory.node, header, to: copy.node)
    } catch {
      throw BrokenProperty("a valid node has an entry that is refused: \(error)")
    }
    copy.node.seal(header)
    guard copy.bytes != bytes else { return }
    let at = zip(copy.bytes, bytes).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    throw BrokenProperty("a node of type \(header.type) is written differently at \(at ?? -1)")
  }

  /// Entry by entry through the values that the program uses.
  private static func copyContents(
    of node: NodeImage, _ header: NodeHeader, to copy: NodeImage
  ) throws(FormatError) {
    switch (header.type, header.level) {
    case (.countPage, _):
      for i in 0..<FormatConstants.countsPerPage { copy.setCount(node.count(i), i) }
    case (.map, 0):
      for i in 0..<FormatConstants.entriesPerLeaf { copy.setEntry(node.entry(i), i) }
    case (.catalogue, 0):
      for i in 0..<FormatConstants.volumesPerLeaf {
        try VolumeRecord.decode(from: node, slot: i)?.encode(into: copy, slot: i)
      }
    case (.doomed, 0):
      for i in 0..<FormatConstants.doomedPerLeaf {
        try DoomedEntry.decode(from: node, index: i)?.encode(into: copy, index: i)
      }
    case (.versionTree, 0):
      for i in 0..<FormatConstants.versionNodesPerLeaf {
        try VersionNode.decode(from: node, index: i)?.encode(into: copy, index: i)
      }
    case (.bookmarks, 0):
      for i in 0..<FormatConstants.bookmarksPerLeaf {
        try Bookmark.decode(from: node, index: i)?.encode(into: copy, index: i)
      }
    case (.holds, 0):
      for i in 0..<FormatConstants.holdsPerLeaf {
        try HoldEntry.decode(from: node, index: i)?.encode(into: copy, index: i)
      }
    case (.owed, 0):
      for i in 0..<FormatConstants.owedPerLeaf {
        try OwedRange.decode(from: node, index: i)?.encode(into: copy, index: i)
      }
    case (.segmentTable, 0):
      for i in 0..<FormatConstants.segmentsPerPage where hasLine(node, i) {
        try SegmentEntry.decode(from: node, index: i).encode(into: copy, index: i)
      }
    case (.segmentTable, _):
      for i in 0..<FormatConstants.systemPointersPerPage {
        try SystemPointer.decode(from: node, index: i)?.encode(into: copy, index: i)
      }
    case (.map, _), (.catalogue, _), (.doomed, _), (.versionTree, _), (.bookmarks, _),
      (.holds, _), (.owed, _):
      for i in 0..<FormatConstants.pointersPerNode { copy.setPointer(node.pointer(i), i) }
    }
  }

  private static func hasLine(_ node: NodeImage, _ index: Int) -> Bool {
    let at = FormatConstants.nodeHeaderBytes + index * FormatConstants.segmentEntryBytes
    return (at..<at + FormatConstants.segmentEntryBytes).contains { node.load8($0) != 0 }
  }

  // MARK: Count images

  /// The first byte is the segment's size, the second which of the two images it is.
  static func countImage(_ input: FormatInput) throws(BrokenProperty) {
    guard input.bytes.count >= 2 else { return }
    let shifts = FormatConstants.largestSegmentShift - FormatConstants.smallestSegmentShift + 1
    let layout = NodeSegmentLayout(
      segmentShift: FormatConstants.smallestSegmentShift + input.bytes[0] % shifts)
    let which = Int(input.bytes[1] & 1)
    let segment = SegmentIndex(index: 3)
    let pool: UInt64 = 0x0123_4567_89AB_CDEF
    var body = input
    body.bytes = Array(input.bytes[2...])
    var bytes = body.resized(to: layout.imageBytes)
    if input.preparation == .mended {
      for page in 0..<layout.pagesPerImage {
        let range = page * FormatConstants.blockBytes..<(page + 1) * FormatConstants.blockBytes
        var one = Array(bytes[range])
        Mending.mend(&one, field: 60)
        bytes.replaceSubrange(range, with: one)
      }
    }
    let memory = BlockMemory(bytes)
    let image = unsafe CountImage(viewing: memory.base, layout: layout)
    if input.preparation == .sealed {
      _ = image.seal(segment: segment, image: which, pool: pool, checkpoint: 1)
    }
    let checksum = image.wholeChecksum
    let isAccepted =
      (try? image.open(segment: segment, image: which, pool: pool, checksum: checksum)) != nil
    try BrokenProperty.unless(
      (try? image.open(segment: segment, image: which, pool: pool, checksum: ~checksum)) == nil,
      "a count image with a wrong checksum is accepted")
    guard isAccepted else { return }
    let copyMemory = BlockMemory([UInt8](repeating: 0, count: layout.imageBytes))
    let copy = unsafe CountImage(viewing: copyMemory.base, layout: layout)
    for block in layout.firstUsableBlock..<layout.blocks {
      copy.setCount(image.count(ofBlock: block), ofBlock: block)
    }
    for page in 0..<layout.pagesPerImage {
      guard let header = try? image.page(page).open() else {
        throw BrokenProperty("a page of an accepted count image is refused")
      }
      copy.page(page).seal(header)
    }
    try BrokenProperty.unless(
      copyMemory.bytes == memory.bytes, "a count image is written differently")
  }
}
