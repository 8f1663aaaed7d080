import StorageUnits

/// The nodes of one durable image, kept from reuse for somebody who reads the devices.
///
/// What the image does not name may be taken and given back as ever; so the blocks that are kept
/// are never more than the image has. Count images, pages of the segment table and superblocks are
/// not covered: two checkpoints later they are others.
struct KeptImage {
  /// By node segment: the blocks that were usable when the image was pinned, one bit each.
  private let usable: [UInt32: [UInt64]]
  private let blocksPerSegment: UInt64
  /// Blocks of the image whose quarantine is over.
  private(set) var waiting: [UInt64] = []

  init(_ nodes: NodeSpace, blocksPerSegment: Int) {
    usable = nodes.segments.mapValues(\.usable)
    self.blocksPerSegment = UInt64(blocksPerSegment)
  }

  /// Whether the block is kept; it is remembered then.
  mutating func keeps(_ block: UInt64) -> Bool {
    let within = Int(block % blocksPerSegment)
    guard let words = usable[UInt32(block / blocksPerSegment)],
      words[within / 64] & 1 << UInt64(within % 64) == 0
    else { return false }
    waiting.append(block)
    return true
  }
}

extension Pool {
  /// The image of the last checkpoint is being kept.
  public var keepsImage: Bool { keptImage != nil }

  /// From now on no node of the last durable image is overwritten, whatever later checkpoints free.
  /// No checkpoint may be running. The pool lets the image go by itself where it is short of blocks
  /// for nodes.
  public func keepImage() {
    precondition(checkpoint == nil, "the image of a running checkpoint is not durable")
    precondition(keptImage == nil, "an image is kept already")
    keptImage = KeptImage(nodeSpace, blocksPerSegment: segments.blocks)
  }

  /// The image is not needed any more: its blocks may be taken.
  public func letImageGo() {
    guard let image = keptImage else { return }
    keptImage = nil
    for block in image.waiting { nodeSpace.release(PoolAddress(block: block)) }
  }

  /// The quarantine of a node's block is over.
  func releaseNode(_ block: UInt64) {
    if keptImage?.keeps(block) == true { return }
    nodeSpace.release(PoolAddress(block: block))
  }

  /// A kept image may take free segments for nodes while plenty are left.
  var isShortForKeptImage: Bool {
    keepsImage && segments.possibleNodeSegments < max(2, segments.count / 8)
  }
}
