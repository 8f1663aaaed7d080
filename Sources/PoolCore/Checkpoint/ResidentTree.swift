public import DiskFormat

/// The shape of a tree of the pool's own (catalogue, doomed list) whose contents are resident:
/// where its nodes lie on disk, level by level. A checkpoint writes the leaves that changed and the
/// nodes above them, each to a new address.
public struct ResidentTree: Sendable {
  public let type: NodeType
  public let leafCapacity: Int
  /// The level of the root.
  public private(set) var level: UInt8
  /// `pointers[level][key]` names the node of that level and key.
  public private(set) var pointers: [[UInt64: NodePointer]]

  public init(type: NodeType, leafCapacity: Int) {
    self.type = type
    self.leafCapacity = leafCapacity
    level = 0
    pointers = [[:]]
  }

  /// The tree as it was read: every node's pointer, the root's level.
  public init(
    type: NodeType, leafCapacity: Int, level: UInt8, pointers: [[UInt64: NodePointer]]
  ) {
    precondition(pointers.count == Int(level) + 1)
    self.type = type
    self.leafCapacity = leafCapacity
    self.level = level
    self.pointers = pointers
  }

  public var root: TreeRoot {
    guard let pointer = pointers[Int(level)][0] else { return .none }
    return TreeRoot(pointer: pointer, level: level)
  }

  /// Grows so that `leafKey` has a place; says whether nodes above the old root are needed. Growing
  /// puts a new root above, shrinking never lowers it.
  mutating func grow(toHold leafKey: UInt64) {
    let needed = TreeShape.level(
      forCount: (leafKey + 1) * UInt64(leafCapacity), leafCapacity: leafCapacity)
    while level < needed {
      level += 1
      pointers.append([:])
    }
  }

  mutating func setPointer(_ pointer: NodePointer?, level: UInt8, key: UInt64) {
    pointers[Int(level)][key] = pointer
  }

  /// Leaves that the last image has.
  var leafCount: Int { pointers[0].count }

  func pointer(level: UInt8, key: UInt64) -> NodePointer? { pointers[Int(level)][key] }

  /// The number of nodes that a checkpoint writes, at the most, if so many leaves change and none
  /// of them is above `highestLeaf`.
  func nodesToWrite(changedLeaves: Int, highestLeaf: UInt64) -> Int {
    if changedLeaves == 0 { return 0 }
    var nodes = changedLeaves
    var key = highestLeaf
    var above: UInt8 = 0
    while above < level || key > 0 {
      key /= UInt64(FormatConstants.pointersPerNode)
      above += 1
      nodes += min(changedLeaves, Int(key) + 1)
    }
    return nodes
  }
}

/// A tree that is a list (doomed trees, branch points) is written wholly wherever it changed.
extension ResidentTree {
  /// Makes room for so many leaves; says which a checkpoint writes, those that go included.
  mutating func fitList(leaves: Int) -> Set<UInt64> {
    let written = Set(0..<UInt64(max(leafCount, leaves)))
    if leaves > 0 { grow(toHold: UInt64(leaves - 1)) }
    return written
  }

  /// The nodes that a checkpoint writes of a list with so many leaves, at the most.
  func nodesToWrite(ofListWithLeaves leaves: Int) -> Int {
    let leaves = max(leafCount, leaves)
    return nodesToWrite(changedLeaves: leaves, highestLeaf: UInt64(max(1, leaves) - 1))
  }
}

/// What a checkpoint writes of a `ResidentTree`: levels upward, keys ascending.
struct ResidentTreeWriter {
  private(set) var level: UInt8 = 0
  private var keys: [UInt64]
  private var position = 0

  init(changedLeaves: Set<UInt64>) { keys = changedLeaves.sorted() }

  /// The next node to write, or nil at the end. `tree` has its final level already.
  mutating func next(in tree: ResidentTree) -> (level: UInt8, key: UInt64)? {
    while true {
      if position < keys.count {
        defer { position += 1 }
        return (level, keys[position])
      }
      guard level < tree.level, !keys.isEmpty else { return nil }
      var parents: [UInt64] = []
      for key in keys {
        let parent = key / UInt64(FormatConstants.pointersPerNode)
        if parents.last != parent { parents.append(parent) }
      }
      level += 1
      keys = parents
      position = 0
    }
  }
}
