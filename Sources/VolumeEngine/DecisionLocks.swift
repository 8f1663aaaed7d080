import PoolCore
import StorageUnits

/// A decision lock, or none.
struct LockIndex: Equatable {
  var raw: Int32
  static let none = LockIndex(raw: -1)
  var isNone: Bool { raw < 0 }
}

/// The decision in force for one virtual extent, and who waits for its end (design §4, "The
/// decision lock").
struct DecisionLock {
  var volume: VolumeSlot
  var extent: VirtualExtent
  /// The first one's share epoch, which holds for all who share the decision.
  var shareEpoch: ShareEpoch
  /// The extent that the decision took, or none.
  var freshExtent: PoolAddress
  /// A record has named the fresh extent: it is not given back.
  var isFreshNamed: Bool
  /// Nobody else may join: a merge.
  var isExclusive: Bool
  /// The blocks of those who have joined, also of those who have left: a second write to a block
  /// waits for the whole decision.
  var blocks: BlockMask
  var holders: Int32
  var waiters: PartList
  var nextInBucket: LockIndex
}

/// The decision locks of all extents with a mutation in flight: a hash table of fixed size.
///
/// Why writes may share a decision and what may not:
///
///     write A, block 0            write B, block 1            discard C
///     fresh extent E, in flight
///                                 shares E, in flight
///                                                             waits: cleared now, B's record
///     record: E, blocks {0}                                   would bring old blocks back
///                                 record: E, blocks {0, 1}
///                                                             entry looked up, cleared
///
/// Invariants: a lock exists if and only if it has holders; waiters are kept in the order of their
/// arrival, and nobody joins past a waiter, so none starves.
@safe final class DecisionLocks {
  // Both owned from init to deinit; indices come from `find` and `create`.
  private let locks: UnsafeMutablePointer<DecisionLock>
  private let buckets: UnsafeMutablePointer<LockIndex>
  private let capacity: Int
  private let bucketMask: Int
  private var firstFree = LockIndex(raw: 0)
  private(set) var count = 0

  /// `capacity`: the most extents with a mutation in flight; every part holds one lock at most.
  init(capacity: Int) {
    self.capacity = capacity
    var size = 1
    while size < capacity * 2 { size *= 2 }
    bucketMask = size - 1
    unsafe locks = .allocate(capacity: capacity)
    unsafe buckets = .allocate(capacity: size)
    unsafe buckets.initialize(repeating: .none, count: size)
    for i in 0..<capacity {
      unsafe (locks + i).initialize(
        to: DecisionLock(
          volume: VolumeSlot(index: 0), extent: VirtualExtent(index: 0), shareEpoch: .zero,
          freshExtent: .none, isFreshNamed: false, isExclusive: false, blocks: .none, holders: 0,
          waiters: PartList(),
          nextInBucket: i + 1 < capacity ? LockIndex(raw: Int32(i + 1)) : .none))
    }
  }

  deinit {
    unsafe locks.deallocate()
    unsafe buckets.deallocate()
  }

  subscript(_ l: LockIndex) -> DecisionLock {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(locks + Int(l.raw)) }
    @inline(__always) unsafeMutableAddress { unsafe locks + Int(l.raw) }
  }

  private func bucket(_ volume: VolumeSlot, _ extent: VirtualExtent) -> Int {
    var hash = extent.index &* 0x9E37_79B9_7F4A_7C15
    hash ^= UInt64(truncatingIfNeeded: volume.index) &* 0xC2B2_AE3D_27D4_EB4F
    hash ^= hash >> 29
    return Int(truncatingIfNeeded: hash) & bucketMask
  }

  func find(_ volume: VolumeSlot, _ extent: VirtualExtent) -> LockIndex {
    var l = unsafe buckets[bucket(volume, extent)]
    while !l.isNone, self[l].extent != extent || self[l].volume != volume {
      l = self[l].nextInBucket
    }
    return l
  }

  /// A write of `blocks` may join as far as others are concerned; whether its own decision allows
  /// it is the caller's to judge.
  func admits(_ l: LockIndex, _ blocks: BlockMask) -> Bool {
    let lock = self[l]
    return !lock.isExclusive && lock.waiters.isEmpty && !lock.blocks.intersects(blocks)
  }

  /// A new lock without holders; the caller joins at once.
  func create(_ volume: VolumeSlot, _ extent: VirtualExtent, shareEpoch: ShareEpoch) -> LockIndex {
    let l = firstFree
    precondition(!l.isNone, "more locks than parts")
    firstFree = self[l].nextInBucket
    count += 1
    let b = bucket(volume, extent)
    self[l] = DecisionLock(
      volume: volume, extent: extent, shareEpoch: shareEpoch, freshExtent: .none,
      isFreshNamed: false, isExclusive: false, blocks: .none, holders: 0, waiters: PartList(),
      nextInBucket: unsafe buckets[b])
    unsafe buckets[b] = l
    return l
  }

  func join(_ l: LockIndex, blocks: BlockMask, exclusively: Bool) {
    precondition(!self[l].isExclusive)
    precondition(!exclusively || self[l].holders == 0, "a merge shares no decision")
    self[l].blocks = self[l].blocks | blocks
    self[l].isExclusive = exclusively
    self[l].holders += 1
  }

  /// A holder ends. True if it was the last: the caller ends the decision with `remove`.
  func leave(_ l: LockIndex) -> Bool {
    precondition(self[l].holders > 0)
    self[l].holders -= 1
    return self[l].holders == 0
  }

  /// Removes a lock without holders and returns it: its waiters are to be woken in order, its
  /// fresh extent to be given back if nothing named it.
  func remove(_ l: LockIndex) -> DecisionLock {
    let lock = self[l]
    precondition(lock.holders == 0)
    let b = bucket(lock.volume, lock.extent)
    if unsafe buckets[b] == l {
      unsafe buckets[b] = lock.nextInBucket
    } else {
      var previous = unsafe buckets[b]
      while self[previous].nextInBucket != l { previous = self[previous].nextInBucket }
      self[previous].nextInBucket = lock.nextInBucket
    }
    self[l].nextInBucket = firstFree
    firstFree = l
    count -= 1
    return lock
  }
}
