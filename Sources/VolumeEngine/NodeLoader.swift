import DiskFormat
import PoolCore
import StorageUnits

/// A node load in flight, or none.
struct LoadIndex: Equatable {
  var raw: Int32
  static let none = LoadIndex(raw: -1)
  var isNone: Bool { raw < 0 }
}

/// The loads of table nodes in flight: equal ones are one read, with everybody who waits for it.
///
/// A load holds a grace epoch, entered at the lookup that named the node: the node's place is not
/// given to anything else before the read has ended.
@safe final class NodeLoader {
  struct Load {
    var node: NodeLoad
    var isInUse: Bool
    /// The first place has failed, the second is being read.
    var isSecondTry: Bool
    var epoch: UInt64
    var waiters: PartList
    /// The checkpoint or the dropping of trees waits as well; the management operation does.
    var wakesBackground: Bool
    /// A scan of maps waits as well.
    var wakesScans = false
    var wakesManagement = false
    var wakesSweep = false
    var wakesOwed = false
    var next: LoadIndex
  }

  // Both owned from init to deinit and never moved: reads in flight point into `memory`.
  private let loads: UnsafeMutablePointer<Load>
  private let memory: UnsafeMutableRawPointer
  private let capacity: Int
  private var firstFree: LoadIndex
  private var firstInUse = LoadIndex.none
  private(set) var inUseCount = 0

  init(capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    unsafe loads = .allocate(capacity: capacity)
    unsafe memory = .allocate(
      byteCount: capacity * FormatConstants.blockBytes, alignment: FormatConstants.blockBytes)
    let nothing = NodeLoad(
      address: .none, checksum: 0, type: .map, level: 0, key: 0, owner: 0)
    for i in 0..<capacity {
      unsafe (loads + i).initialize(
        to: Load(
          node: nothing, isInUse: false, isSecondTry: false, epoch: 0, waiters: PartList(),
          wakesBackground: false,
          next: i + 1 < capacity ? LoadIndex(raw: Int32(i + 1)) : .none))
    }
    firstFree = LoadIndex(raw: 0)
  }

  deinit {
    unsafe loads.deallocate()
    unsafe memory.deallocate()
  }

  subscript(_ l: LoadIndex) -> Load {
    unsafeAddress { unsafe UnsafePointer(loads + Int(l.raw)) }
    unsafeMutableAddress { unsafe loads + Int(l.raw) }
  }

  var hasFree: Bool { !firstFree.isNone }

  /// The load in flight of the same node, or none. Loads in flight are few: they are looked
  /// through.
  func find(_ node: NodeLoad) -> LoadIndex {
    var l = firstInUse
    while !l.isNone, self[l].node.address != node.address { l = self[l].next }
    return l
  }

  /// A new load; there must be a free one.
  func start(_ node: NodeLoad, epoch: UInt64) -> LoadIndex {
    let l = firstFree
    precondition(!l.isNone)
    firstFree = self[l].next
    self[l] = Load(
      node: node, isInUse: true, isSecondTry: false, epoch: epoch, waiters: PartList(),
      wakesBackground: false, next: firstInUse)
    firstInUse = l
    inUseCount += 1
    return l
  }

  /// Ends a load and returns it with those who waited.
  func finish(_ l: LoadIndex) -> Load {
    let load = self[l]
    precondition(load.isInUse)
    if firstInUse == l {
      firstInUse = load.next
    } else {
      var previous = firstInUse
      while self[previous].next != l { previous = self[previous].next }
      self[previous].next = load.next
    }
    self[l].isInUse = false
    self[l].next = firstFree
    firstFree = l
    inUseCount -= 1
    return load
  }

  /// The 4096 bytes that the load reads into.
  func buffer(_ l: LoadIndex) -> UnsafeMutableRawPointer {
    precondition(Int(l.raw) < capacity)
    return unsafe memory + Int(l.raw) * FormatConstants.blockBytes
  }
}
