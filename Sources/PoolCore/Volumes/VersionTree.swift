import DiskFormat
import StorageUnits

/// The branch points of all version lines, and how many live below each.
///
/// What lives: volumes, snapshots, and doomed trees until their drop is complete in a durable
/// checkpoint. Each is attached to the branch point below which it lives (epoch zero: to none). A
/// volume's share epoch is that of the nearest branch point above it under which anything else
/// lives; what has a greater birth is the volume's own.
///
/// A bookmark keeps its branch point known, so that one can tell which lines pass through it, but
/// is nothing that lives: it shares no space, and no share epoch counts it.
///
/// Invariants: a parent's epoch is less than its children's; a branch point has something attached,
/// a bookmark, or at least two children, else it is passed over.
struct VersionTree {
  private struct Node {
    var parent: ShareEpoch
    var attached = 0
    var bookmarks = 0
    /// What is attached, and the children under which anything is.
    var living = 0
    /// Ascending.
    var children: [ShareEpoch] = []
  }
  private var nodes: [ShareEpoch: Node] = [:]
  /// The epochs of all branch points, ascending.
  private var order: [ShareEpoch] = []
  private var bookmarkCount = 0
  /// It differs from the last image.
  var isDirty = false

  /// Leaves of the tree on disk, each with as many branch points as fit.
  var leafCount: Int {
    (order.count + FormatConstants.versionNodesPerLeaf - 1) / FormatConstants.versionNodesPerLeaf
  }

  /// What an image holds, in ascending order of epochs.
  var entries: [VersionNode] {
    order.map { VersionNode(epoch: $0, parent: nodes[$0]?.parent ?? .zero) }
  }

  /// Takes branch points of an image over; `attach` follows for everything that lives, then
  /// `tidy`.
  init(_ entries: [VersionNode]) {
    for entry in entries.sorted(by: { $0.epoch < $1.epoch }) {
      precondition(nodes[entry.epoch] == nil)
      nodes[entry.epoch] = Node(parent: entry.parent)
      order.append(entry.epoch)
      if entry.parent != .zero { nodes[entry.parent]?.children.append(entry.epoch) }
    }
  }

  /// Passes over what nothing lives below: an image may hold some of it.
  mutating func tidy() {
    for epoch in order.reversed() { passOver(epoch) }
  }

  /// A new branch point; `attach` to it follows.
  mutating func branch(at epoch: ShareEpoch, below parent: ShareEpoch) {
    precondition(order.last.map { $0 < epoch } ?? true, "share epochs only grow")
    nodes[epoch] = Node(parent: parent)
    order.append(epoch)
    if parent != .zero {
      precondition(nodes[parent] != nil)
      nodes[parent]?.children.append(epoch)
    }
    isDirty = true
  }

  mutating func attach(_ epoch: ShareEpoch) {
    if epoch == .zero { return }
    precondition(nodes[epoch] != nil, "no such branch point")
    nodes[epoch]?.attached += 1
    changeLiving(epoch, by: 1)
  }

  private mutating func changeLiving(_ epoch: ShareEpoch, by change: Int) {
    var at = epoch
    while at != .zero, let node = nodes[at] {
      let isAlive = node.living + change > 0
      nodes[at]?.living += change
      // The parent counts it once.
      if isAlive == (node.living > 0) { return }
      at = node.parent
    }
  }

  mutating func detach(_ epoch: ShareEpoch) {
    guard epoch != .zero, let attached = nodes[epoch]?.attached else { return }
    precondition(attached > 0)
    nodes[epoch]?.attached -= 1
    changeLiving(epoch, by: -1)
    passOver(epoch)
  }

  // MARK: Bookmarks

  /// A branch point gains a bookmark (1) or loses one (-1).
  mutating func bookmark(_ epoch: ShareEpoch, _ change: Int) {
    guard let count = nodes[epoch]?.bookmarks else {
      preconditionFailure("no such branch point")
    }
    precondition(count + change >= 0)
    nodes[epoch]?.bookmarks += change
    bookmarkCount += change
    if change < 0 { passOver(epoch) }
  }

  /// The newest bookmark on the line of what is attached to `epoch`, zero for none.
  func newestBookmark(ofOneAt epoch: ShareEpoch) -> ShareEpoch {
    guard bookmarkCount > 0 else { return .zero }
    var at = epoch
    while at != .zero, let node = nodes[at] {
      if node.bookmarks > 0 { return at }
      at = node.parent
    }
    return .zero
  }

  /// Whether the line of what is attached to `epoch` passes through `ancestor`.
  func isOnLine(_ ancestor: ShareEpoch, ofOneAt epoch: ShareEpoch) -> Bool {
    var at = epoch
    while ancestor < at, let node = nodes[at] { at = node.parent }
    return at == ancestor
  }

  /// A branch point without anything of its own goes; its only child takes its place.
  private mutating func passOver(_ epoch: ShareEpoch) {
    guard let node = nodes[epoch], node.attached == 0, node.bookmarks == 0,
      node.children.count < 2
    else { return }
    nodes[epoch] = nil
    if let at = position(of: epoch) { order.remove(at: at) }
    isDirty = true
    let child = node.children.first
    if let child { nodes[child]?.parent = node.parent }
    guard node.parent != .zero else { return }
    nodes[node.parent]?.children.removeAll { $0 == epoch }
    if let child {
      nodes[node.parent]?.children.append(child)
      nodes[node.parent]?.children.sort()
    } else {
      passOver(node.parent)
    }
  }

  private func position(of epoch: ShareEpoch) -> Int? {
    var low = 0
    var high = order.count
    while low < high {
      let middle = low + (high - low) / 2
      if order[middle] < epoch { low = middle + 1 } else { high = middle }
    }
    return low < order.count && order[low] == epoch ? low : nil
  }

  /// The share epoch of a volume that is attached to `epoch`.
  func shareEpoch(ofOneAt epoch: ShareEpoch) -> ShareEpoch {
    var at = epoch
    // The volume itself, or the branch that it was reached from.
    let own = 1
    while at != .zero, let node = nodes[at] {
      if node.living > own { return at }
      at = node.parent
    }
    return .zero
  }
}
