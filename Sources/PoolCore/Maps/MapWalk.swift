public import DiskFormat
public import StorageUnits

/// Where a walk goes on: nodes come before what is below them, in the order of their extents.
@frozen public struct MapPosition: Hashable, Sendable {
  /// The first extent that was not walked.
  public var extent: VirtualExtent
  /// Nodes that begin at `extent` and have at least this level were visited already.
  var visitedLevel: UInt8

  /// Before everything that begins at `extent`.
  public init(_ extent: VirtualExtent) { self.init(extent, visitedLevel: .max) }

  init(_ extent: VirtualExtent, visitedLevel: UInt8) {
    self.extent = extent
    self.visitedLevel = visitedLevel
  }

  public static let start = MapPosition(VirtualExtent(index: 0))
}

/// A node of a map as a visitor sees it before it is read.
@frozen public struct MapNode: Hashable, Sendable {
  /// 0 is a leaf.
  public var level: UInt8
  /// The virtual extents that it spans.
  public var extents: Range<VirtualExtent>
  /// How its parent names it; address 0 if only the base has a node here.
  public var pointer: NodePointer
  /// The nodes and roots that name it, changes since the last checkpoint included; 0 without node.
  public var nameCount: Int
  /// The base has the very same node here, so nothing below differs.
  public var isBases: Bool
  /// The visitor was asked about it before: an earlier call of the same walk ended below it.
  public var isRevisited: Bool
}

/// What looks at the map of a volume, with another map beside it or alone.
public protocol MapVisitor {
  /// Whether the walk goes into a node. Nothing has been read of it yet.
  mutating func enters(_ node: MapNode) -> Bool
  /// An entry that is not what the base has. False ends the walk behind it.
  mutating func visit(_ extent: VirtualExtent, _ entry: MapEntry, base: MapEntry) -> Bool
  /// A subtree that became empty at `birth`, where the base has nothing either. False ends the walk
  /// behind it.
  mutating func visitEmptied(_ extents: Range<VirtualExtent>, birth: ShareEpoch) -> Bool
}

extension MapVisitor {
  public mutating func visitEmptied(_ extents: Range<VirtualExtent>, birth: ShareEpoch) -> Bool {
    true
  }
}

/// How far one call of a walk has come.
@frozen public enum MapWalkOutcome: Hashable, Sendable {
  /// Everything up to the end was walked.
  case done
  /// The visitor ended the walk, or it looked at as many nodes as it may.
  case paused(MapPosition)
  /// Load this node, then go on.
  case missing(NodeLoad, MapPosition)
}

extension Pool {
  /// Walks the map of a volume in ascending order, from `position` to `end`, beside that of `base`
  /// (nil: an empty one), and shows the visitor what the two do not share.
  ///
  /// A call goes into about `nodesAtMost` nodes (one at least) and reads none: the maps may change
  /// between two calls, and what is behind the position is then seen as it is. So everything that
  /// differed when the walk began and was not changed meanwhile is shown. The visitor changes
  /// nothing of the pool.
  ///
  /// `nodes` is raised by the nodes that the walk went into.
  public func walk<Visitor: MapVisitor>(
    _ volume: VolumeSlot, beside base: VolumeSlot? = nil, from position: MapPosition,
    to end: VirtualExtent, nodesAtMost: Int, nodes: inout Int, _ visitor: inout Visitor
  ) -> MapWalkOutcome {
    precondition(nodesAtMost > 0)
    let tree = WalkedTree(volumes.states[volume.index])
    let other = base.map { WalkedTree(volumes.states[$0.index]) } ?? .empty
    var walk = MapWalk(
      pool: self, visitor: visitor, families: (tree.family, other.family), position: position,
      end: end, nodesLeft: nodesAtMost)
    walk.run(tree.top, other.top)
    visitor = walk.visitor
    nodes += nodesAtMost - walk.nodesLeft
    return walk.outcome
  }
}

/// A root as a walk starts from it.
private struct WalkedTree {
  var top: WalkedPointer
  var family: UInt64
  static let empty = WalkedTree(top: .none, family: 0)

  private init(top: WalkedPointer, family: UInt64) {
    self.top = top
    self.family = family
  }

  init(_ volume: VolumeState) {
    self.init(
      top: WalkedPointer(pointer: volume.root.pointer, level: volume.root.level),
      family: volume.family)
  }
}

/// A pointer and the level of the node that it names: less than where the walk is if the other tree
/// is higher. It is then the first child of what the tree would have there.
private struct WalkedPointer {
  var pointer: NodePointer
  var level: UInt8
  static let none = WalkedPointer(pointer: .none, level: 0)
}

private struct MapWalk<Visitor: MapVisitor> {
  let pool: Pool
  var visitor: Visitor
  let families: (tree: UInt64, base: UInt64)
  let position: MapPosition
  let end: VirtualExtent
  var nodesLeft: Int
  var outcome = MapWalkOutcome.done

  mutating func run(_ tree: WalkedPointer, _ base: WalkedPointer) {
    _ = walk(max(tree.level, base.level), 0, tree, base)
  }

  private func span(_ level: UInt8) -> UInt64 {
    TreeShape.span(level: level, leafCapacity: FormatConstants.entriesPerLeaf)
  }

  /// Where to go on once the nodes at `extent` with this level and above have been visited.
  private func position(at extent: UInt64, visitedLevel: UInt8) -> MapPosition {
    if extent < position.extent.index { return position }
    let isSame = extent == position.extent.index
    return MapPosition(
      VirtualExtent(index: extent),
      visitedLevel: isSame ? min(visitedLevel, position.visitedLevel) : visitedLevel)
  }

  /// False: the walk has ended, and `outcome` says where.
  private mutating func walk(
    _ level: UInt8, _ key: UInt64, _ tree: WalkedPointer, _ base: WalkedPointer
  ) -> Bool {
    let first = key * span(level)
    let last = first + span(level)
    if last <= position.extent.index || end.index <= first { return true }
    if tree.pointer.isNone && base.pointer.isNone {
      return visitEmptied(first..<last, max(tree.pointer.birth, base.pointer.birth))
    }
    let treeIsHere = tree.level == level
    let baseIsHere = base.level == level
    let treeNode = treeIsHere ? tree.pointer : .none
    let baseNode = baseIsHere ? base.pointer : .none
    var isRevisited = true
    if !treeNode.isNone || !baseNode.isNone {
      let node = node(level, first..<last, treeNode, baseNode)
      isRevisited = node.isRevisited
      // The way down to where the last call ended costs nothing, so that each call gets on.
      guard nodesLeft > 0 || isRevisited else {
        outcome = .paused(position(at: first, visitedLevel: level + 1))
        return false
      }
      guard visitor.enters(node) else { return true }
    }
    guard let treeSlot = slot(of: treeNode, level, key, families.tree, isRevisited),
      let baseSlot = slot(of: baseNode, level, key, families.base, isRevisited)
    else { return false }
    if level == 0 { return walkLeaf(first, treeSlot, baseSlot) }
    return walkChildren(level, key, (tree, treeSlot), (base, baseSlot))
  }

  private mutating func walkChildren(
    _ level: UInt8, _ key: UInt64, _ tree: (WalkedPointer, slot: Int),
    _ base: (WalkedPointer, slot: Int)
  ) -> Bool {
    let first = key * span(level)
    let below = span(level - 1)
    let from = max(first, position.extent.index)
    for index in Int((from - first) / below)..<FormatConstants.pointersPerNode {
      let treeChild = child(index, of: tree.0, level, tree.slot)
      let baseChild = child(index, of: base.0, level, base.slot)
      let childKey = key * UInt64(FormatConstants.pointersPerNode) + UInt64(index)
      guard walk(level - 1, childKey, treeChild, baseChild) else { return false }
      if end.index <= first + UInt64(index + 1) * below { return true }
    }
    return true
  }

  private func node(
    _ level: UInt8, _ extents: Range<UInt64>, _ tree: NodePointer, _ base: NodePointer
  ) -> MapNode {
    let resolved = pool.cache.resolved(tree)
    let other = pool.cache.resolved(base)
    let first = extents.lowerBound
    return MapNode(
      level: level,
      extents: VirtualExtent(index: first)..<VirtualExtent(index: extents.upperBound),
      pointer: resolved,
      nameCount: tree.isNone
        ? 0 : pool.nameCount(tree, slot: pool.cache.findQuietly(tree)),
      isBases: resolved.address == other.address && resolved.isInMemory == other.isInMemory,
      isRevisited: first < position.extent.index
        || first == position.extent.index && position.visitedLevel <= level)
  }

  /// The slot of a node, -1 for a null pointer, nil if it must be loaded first.
  private mutating func slot(
    of pointer: NodePointer, _ level: UInt8, _ key: UInt64, _ family: UInt64,
    _ isRevisited: Bool
  ) -> Int? {
    if pointer.isNone { return -1 }
    let slot = pool.cache.find(pointer)
    guard slot >= 0 else {
      nodesLeft -= 1
      outcome = .missing(
        pool.mapLoad(pointer, level: level, key: key, family: family),
        position(at: key * span(level), visitedLevel: level))
      return nil
    }
    if !isRevisited { nodesLeft -= 1 }
    return slot
  }

  private func child(
    _ index: Int, of parent: WalkedPointer, _ level: UInt8, _ slot: Int
  ) -> WalkedPointer {
    if parent.level < level { return index == 0 ? parent : .none }
    guard slot >= 0 else { return WalkedPointer(pointer: .none, level: level - 1) }
    return WalkedPointer(pointer: pool.cache.image(slot).pointer(index), level: level - 1)
  }

  private mutating func walkLeaf(_ first: UInt64, _ tree: Int, _ base: Int) -> Bool {
    let from = max(first, position.extent.index)
    let to = min(first + UInt64(FormatConstants.entriesPerLeaf), end.index)
    for extent in from..<to {
      let index = Int(extent - first)
      let entry = tree < 0 ? .none : pool.cache.image(tree).entry(index)
      let other = base < 0 ? .none : pool.cache.image(base).entry(index)
      if entry == other { continue }
      guard visitor.visit(VirtualExtent(index: extent), entry, base: other) else {
        return pause(behind: extent)
      }
    }
    return true
  }

  private mutating func visitEmptied(_ extents: Range<UInt64>, _ birth: ShareEpoch) -> Bool {
    if birth == .zero { return true }
    let from = max(extents.lowerBound, position.extent.index)
    let to = min(extents.upperBound, end.index)
    let range = VirtualExtent(index: from)..<VirtualExtent(index: to)
    return visitor.visitEmptied(range, birth: birth) || pause(behind: to - 1)
  }

  private mutating func pause(behind extent: UInt64) -> Bool {
    outcome =
      extent + 1 < end.index ? .paused(MapPosition(VirtualExtent(index: extent + 1))) : .done
    return false
  }
}
