public import StorageUnits

/// How a node segment is divided: two images of its counts, then its nodes.
///
/// An image has a count page (of 1024 counts) for every 1024 blocks of the segment, at least one.
/// Image 0 starts at the segment's first block, image 1 follows it. The blocks of both images are
/// never given out, and their own counts stay zero.
@frozen public struct NodeSegmentLayout: Hashable, Sendable {
  /// Blocks in the segment.
  public let blocks: Int
  /// Count pages in one image.
  public let pagesPerImage: Int

  /// A segment of 2^`segmentShift` blocks (4 to 14).
  @inlinable public init(segmentShift: UInt8) {
    precondition(segmentShift >= FormatConstants.smallestSegmentShift)
    precondition(segmentShift <= FormatConstants.largestSegmentShift)
    blocks = 1 << Int(segmentShift)
    pagesPerImage = max(1, blocks / FormatConstants.countsPerPage)
  }

  /// The first block of the segment that may hold a node.
  @inlinable public var firstUsableBlock: Int { 2 * pagesPerImage }
  @inlinable public var usableBlocks: Int { blocks - firstUsableBlock }

  /// The first block of an image (0 or 1), counted from the segment's start.
  @inlinable public func firstBlock(ofImage image: Int) -> Int {
    precondition(image == 0 || image == 1)
    return image * pagesPerImage
  }

  /// Where an image (0 or 1) of the segment starts.
  @inlinable public func address(
    ofImage image: Int, segment: SegmentIndex
  ) -> PoolAddress {
    PoolAddress(block: UInt64(segment.index) * UInt64(blocks) + UInt64(firstBlock(ofImage: image)))
  }

  /// Bytes of one image.
  @inlinable public var imageBytes: Int { pagesPerImage * FormatConstants.blockBytes }
}

/// A whole count image of a node segment in memory: its pages, one after another.
///
/// A borrowed view: whoever made it keeps the memory alive and is the only one who uses it. The
/// accessors check indices; that is why the type may call itself safe.
@safe @frozen public struct CountImage {
  @usableFromInline let base: UnsafeMutableRawPointer
  public let layout: NodeSegmentLayout

  /// Views `layout.imageBytes` bytes at `base`, which must be 8-byte aligned.
  @inlinable public init(viewing base: UnsafeMutableRawPointer, layout: NodeSegmentLayout) {
    unsafe self.base = base
    self.layout = layout
  }

  /// Page `index` of the image.
  @inlinable public func page(_ index: Int) -> NodeImage {
    precondition(index >= 0 && index < layout.pagesPerImage)
    return unsafe NodeImage(viewing: base + index * FormatConstants.blockBytes)
  }

  /// The count of block `block` of the segment.
  @inlinable public func count(ofBlock block: Int) -> UInt32 {
    precondition(block >= 0 && block < layout.blocks)
    return page(block / FormatConstants.countsPerPage).count(block % FormatConstants.countsPerPage)
  }

  @inlinable public func setCount(_ count: UInt32, ofBlock block: Int) {
    precondition(block >= layout.firstUsableBlock && block < layout.blocks)
    page(block / FormatConstants.countsPerPage).setCount(
      count, block % FormatConstants.countsPerPage)
  }

  /// Sets all bytes to zero.
  public func clear() {
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: layout.imageBytes)
  }

  /// Writes the headers and checksums of all pages, and returns the one checksum over the whole
  /// image that the segment table names.
  ///
  /// `image` is which of the two the pages are for (0 or 1).
  public func seal(
    segment: SegmentIndex, image: Int, pool: UInt64, checkpoint: UInt64
  ) -> UInt32 {
    let start = layout.address(ofImage: image, segment: segment)
    for i in 0..<layout.pagesPerImage {
      page(i).seal(
        NodeHeader(
          type: .countPage, level: 0, pool: pool, owner: 0, key: UInt64(segment.index),
          address: start.advanced(byBlocks: i), checkpoint: checkpoint, birth: .zero))
    }
    return wholeChecksum
  }

  /// The checksum of all bytes of the image, page headers included.
  public var wholeChecksum: UInt32 {
    unsafe Checksum.crc32c(UnsafeRawBufferPointer(start: base, count: layout.imageBytes))
  }

  /// Verifies an image that was read from a device: the one checksum that the segment table names,
  /// and each page's pool, segment and own address.
  public func open(
    segment: SegmentIndex, image: Int, pool: UInt64, checksum: UInt32
  ) throws(FormatError) {
    guard wholeChecksum == checksum else { throw .badChecksum(.node) }
    let start = layout.address(ofImage: image, segment: segment)
    for i in 0..<layout.pagesPerImage {
      let header = try page(i).open()
      guard header.type == .countPage else { throw .unknownKind(.node) }
      try FormatError.require(header.pool == pool, .node, "pool")
      try FormatError.require(header.key == UInt64(segment.index), .node, "key")
      try FormatError.require(header.owner == 0, .node, "owner")
      try FormatError.require(header.address == start.advanced(byBlocks: i), .node, "address")
      try page(i).validateContents(header)
    }
    try validateUnused()
  }

  /// Blocks of the images themselves, and those beyond a small segment's end, count zero.
  private func validateUnused() throws(FormatError) {
    for i in 0..<layout.firstUsableBlock {
      try FormatError.require(count(ofBlock: i) == 0, .node, "countOfImage")
    }
    let inLastPage = layout.blocks - (layout.pagesPerImage - 1) * FormatConstants.countsPerPage
    for i in inLastPage..<FormatConstants.countsPerPage {
      try FormatError.require(page(layout.pagesPerImage - 1).count(i) == 0, .node, "countBeyondEnd")
    }
  }
}
