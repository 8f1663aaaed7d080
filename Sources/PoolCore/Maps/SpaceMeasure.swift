public import DiskFormat
public import StorageUnits

/// What would be freed if some volumes and snapshots were deleted together: the nodes and extents
/// that nothing else names.
///
/// It goes the way that a drop would go. A node that something else names keeps what is below it;
/// one whose last name goes is gone itself, and its children lose a name each. So the cost follows
/// what would be freed, not what is stored, and a second volume finds the names that the first one
/// took gone.
///
/// Extents are handed over by the walk and judged afterwards, for their counts may have to be read.
public struct SpaceMeasure {
  public private(set) var freedExtents: UInt64 = 0
  public private(set) var freedNodes: UInt64 = 0

  /// Names that were taken from what has others left.
  private var takenFromNodes: [NodePointer: Int] = [:]
  private var takenFromExtents: [PoolExtent: Int] = [:]
  /// Extents of leaves that would be gone, in the order in which they were found.
  private var waiting: [PoolExtent] = []
  private var judged = 0
  /// Extents that packed layers of the leaf at hand share: a leaf names each once.
  private var packed: Set<PoolExtent> = []
  private var packedLeaf = UInt64.max

  public init() {}

  public var freedDataBytes: UInt64 { freedExtents * UInt64(StorageSizes.extentBytes) }
  /// Data and nodes.
  public var freedBytes: UInt64 {
    freedDataBytes + freedNodes * UInt64(StorageSizes.blockBytes)
  }

  /// Judges what the walk has brought since the last call. A node load: it goes on from there.
  public mutating func judgeExtents(in pool: Pool) -> NodeLoad? {
    while judged < waiting.count {
      let extent = waiting[judged]
      switch pool.nameCount(of: extent) {
      case .missing(let load): return load
      case .count(let count):
        let taken = takenFromExtents[extent, default: 0] + 1
        if count > taken {
          takenFromExtents[extent] = taken
        } else {
          takenFromExtents[extent] = nil
          freedExtents += 1
        }
      }
      judged += 1
    }
    waiting.removeAll(keepingCapacity: true)
    judged = 0
    return nil
  }
}

extension SpaceMeasure: MapVisitor {
  public mutating func enters(_ node: MapNode) -> Bool {
    // It was entered before, or it would have been passed over as a whole.
    if node.isRevisited || node.nameCount == 0 { return true }
    var key = node.pointer
    key.birth = .zero
    let taken = takenFromNodes[key, default: 0] + 1
    guard node.nameCount <= taken else {
      takenFromNodes[key] = taken
      return false
    }
    takenFromNodes[key] = nil
    freedNodes += 1
    return true
  }

  public mutating func visit(_ extent: VirtualExtent, _ entry: MapEntry, base: MapEntry) -> Bool {
    let leaf = extent.index / UInt64(FormatConstants.entriesPerLeaf)
    if leaf != packedLeaf {
      packedLeaf = leaf
      packed.removeAll(keepingCapacity: true)
    }
    note(entry.upper)
    note(entry.lower)
    return true
  }
}

extension SpaceMeasure {
  private mutating func note(_ layer: Layer) {
    if layer.isNone { return }
    let extent = layer.address.extent
    if layer.isPacked && !packed.insert(extent).inserted { return }
    waiting.append(extent)
  }
}

/// The names of an extent.
@frozen public enum ExtentNames: Hashable, Sendable {
  case count(Int)
  /// The page that counts its segment has to be read first.
  case missing(NodeLoad)
}

extension Pool {
  /// How many leaves name an extent: its page, and all changes since that page was written.
  public func nameCount(of extent: PoolExtent) -> ExtentNames {
    let segment = Int(extent.index) / segments.extents
    let index = Int(extent.index) % segments.extents
    let entry = segments.entries[segment]
    var count = dataSpace.pendingChange(segment, index)
    guard !entry.countPage.isNone else { return .count(count) }
    let slot = cache.find(entry.countPage)
    guard slot >= 0 else { return .missing(countPageLoad(segment)) }
    count += Int(cache.image(slot).count(index))
    return .count(count)
  }
}
