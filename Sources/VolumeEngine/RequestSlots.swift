import BlockExport
import PoolCore
import StorageUnits

/// A request's slot, or none.
struct RequestIndex: Equatable {
  var raw: Int32
  static let none = RequestIndex(raw: -1)
  var isNone: Bool { raw < 0 }
}

/// A part's slot, or none.
struct PartIndex: Equatable {
  var raw: Int32
  static let none = PartIndex(raw: -1)
  var isNone: Bool { raw < 0 }
}

/// What a host asked for and how far it has come.
@safe struct RequestSlot {
  var request: ExportRequest
  var volume: VolumeSlot
  /// By the clock of the turn.
  var arrivedAt = MonotonicTime(nanoseconds: 0)
  /// The first error of any part.
  var error: ExportError?
  /// Parts that have started and not ended.
  var openParts: Int32
  /// Write-zeroes: the edges are done and the walk has started.
  var isWalking: Bool
  /// When it first lacked space; decides how long it may wait.
  var lacksSpaceSince: MonotonicTime?
  /// A read that needed no data of any device.
  var readsAsZeros: Bool
  /// In the queue of parked parts: counted against the quota.
  var isParked: Bool
  /// Write-zeroes: the volume's size when it was judged which blocks it covers wholly.
  var sizeAtBegin: UInt64 = 0
  /// The next request of the list that it is in.
  var next: RequestIndex
}

/// What a part does.
enum PartKind: UInt8 {
  /// A whole read request.
  case read
  /// One virtual extent of a write request.
  case write
  /// A block that a write-zeroes request covers in part: zeros written beside what stays.
  case zeroEdge
  /// A discard or write-zeroes request, going over the extents that are mapped.
  case clearWalk
  /// A write-zeroes request with NO_HOLE, going over all its extents.
  case provisionWalk
  /// A block-status request.
  case statusWalk
}

/// Where a part that changes the map stands.
enum PartPhase: UInt8 {
  /// It holds nothing: neither lock, nor space, nor grace epoch. Every pause for space, for a node
  /// or for the lock is made here, and the part is judged anew afterwards.
  case admitting
  /// It holds the lock and reads older blocks.
  case readingOld
  /// The older blocks are there; the write waits for a command slot.
  case issuing
  /// Its writes are in flight.
  case writing
  /// Its writes have completed; the record is to be applied.
  case applying
}

/// The unit that is stepped and that waits: one virtual extent of a write, or one walk.
///
/// A part is in one list at most (`next`): what it waits for, or the ready list.
@safe struct PartSlot {
  var request: RequestIndex
  var kind: PartKind
  var phase: PartPhase
  /// Judged once for back-pressure, so that it is delayed once.
  var wasDelayed: Bool
  /// Last in a shared decision that took a fresh extent.
  var usesFresh: Bool
  /// The map changes by it, so that there is a record.
  var changesMap: Bool
  /// The node that it waited for cannot be read.
  var nodeFailed: Bool
  /// Reads: some of it is mapped.
  var readsData: Bool
  /// How often it waited for a checkpoint to free space.
  var spaceTries: UInt8
  var volume: VolumeSlot
  /// Writes: its extent. Walks: the next extent to look at.
  var extent: VirtualExtent
  /// Walks: the first extent beyond the range.
  var endExtent: VirtualExtent
  /// The blocks that the request touches.
  var mask: BlockMask
  /// The blocks among them that are written: those that stay zero are left out.
  var writing: BlockMask
  /// Those of them whose discard was owed when the write was admitted: it is no more afterwards.
  var settling: BlockMask
  /// Older blocks that are merged into the fresh extent.
  var copying: BlockMask
  /// Blocks whose older contents are needed because the request covers them in part.
  var edges: BlockMask
  /// Bytes of the first touched block before the request, and of the last one after it.
  var headBytes: UInt16
  var tailBytes: UInt16
  /// The extent that is written into.
  var target: PoolAddress
  /// Where block 0 of the extent lies, or would lie, in the request's buffer.
  var origin: UnsafeMutableRawPointer?
  var lock: LockIndex
  /// The grace epoch that it has entered; 0 for none.
  var epoch: UInt64
  /// Commands in flight that carry blocks of this part.
  var pendingCommands: Int32
  /// What its host is told of a command of it that failed.
  var deviceError: ExportError?
  /// Bounce extents: one for a merge, a chain for a read.
  var bounce: BounceIndex
  var next: PartIndex
}

/// A first-in, first-out list of parts, linked through the parts.
struct PartList {
  fileprivate(set) var head = PartIndex.none
  fileprivate(set) var tail = PartIndex.none
  var isEmpty: Bool { head.isNone }
}

/// A first-in, first-out list of requests, linked through the requests.
struct RequestList {
  fileprivate(set) var head = RequestIndex.none
  fileprivate(set) var tail = RequestIndex.none
  var isEmpty: Bool { head.isNone }
}

/// The requests in work, and their parts: allocated once, addressed by index.
@safe final class RequestSlots {
  /// A window of 1 MiB touches at most 17 extents. Write-zeroes uses 0 and 1 for its edges and 2
  /// for its walk, everything else 0.
  static let partsPerRequest = ExportLimits.windowBytes / StorageSizes.extentBytes + 1

  let capacity: Int
  // Owned from init to deinit; every index comes from `take` or `part(_:of:)`, which check it.
  private let requests: UnsafeMutablePointer<RequestSlot>
  private let parts: UnsafeMutablePointer<PartSlot>
  private var free = RequestList()
  private(set) var freeCount: Int

  init(capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    freeCount = capacity
    unsafe requests = .allocate(capacity: capacity)
    unsafe parts = .allocate(capacity: capacity * Self.partsPerRequest)
    let nothing = unsafe ExportRequest(
      .flush, volume: VolumeID(0), offset: 0, length: 0, buffer: nil, token: 0)
    for i in 0..<capacity {
      unsafe (requests + i).initialize(
        to: RequestSlot(
          request: nothing, volume: VolumeSlot(index: 0), error: nil, openParts: 0,
          isWalking: false, lacksSpaceSince: nil, readsAsZeros: false, isParked: false,
          next: .none))
      for k in 0..<Self.partsPerRequest {
        unsafe (parts + (i * Self.partsPerRequest + k)).initialize(
          to: PartSlot(unusedOf: RequestIndex(raw: Int32(i))))
      }
      append(RequestIndex(raw: Int32(i)), to: &free)
    }
  }

  deinit {
    unsafe requests.deallocate()
    unsafe parts.deallocate()
  }

  subscript(_ r: RequestIndex) -> RequestSlot {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(requests + Int(r.raw)) }
    @inline(__always) unsafeMutableAddress { unsafe requests + Int(r.raw) }
  }

  subscript(_ p: PartIndex) -> PartSlot {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(parts + Int(p.raw)) }
    @inline(__always) unsafeMutableAddress { unsafe parts + Int(p.raw) }
  }

  /// Takes a slot for the request; nil if all are in use.
  func take(_ request: ExportRequest, volume: VolumeSlot) -> RequestIndex? {
    guard let r = popFirst(&free) else { return nil }
    freeCount -= 1
    self[r] = RequestSlot(
      request: request, volume: volume, error: nil, openParts: 0, isWalking: false,
      lacksSpaceSince: nil, readsAsZeros: false, isParked: false, next: .none)
    return r
  }

  func giveBack(_ r: RequestIndex) {
    precondition(self[r].openParts == 0)
    append(r, to: &free)
    freeCount += 1
  }

  func part(_ k: Int, of r: RequestIndex) -> PartIndex {
    precondition(k < Self.partsPerRequest)
    return PartIndex(raw: r.raw * Int32(Self.partsPerRequest) + Int32(k))
  }

  // MARK: Lists

  func append(_ p: PartIndex, to list: inout PartList) {
    self[p].next = .none
    if list.tail.isNone { list.head = p } else { self[list.tail].next = p }
    list.tail = p
  }

  func popFirst(_ list: inout PartList) -> PartIndex? {
    let p = list.head
    guard !p.isNone else { return nil }
    list.head = self[p].next
    if list.head.isNone { list.tail = .none }
    self[p].next = .none
    return p
  }

  /// Moves all of `other` behind `list`, in order.
  func append(all other: inout PartList, to list: inout PartList) {
    guard !other.isEmpty else { return }
    if list.tail.isNone { list.head = other.head } else { self[list.tail].next = other.head }
    list.tail = other.tail
    other = PartList()
  }

  func append(_ r: RequestIndex, to list: inout RequestList) {
    self[r].next = .none
    if list.tail.isNone { list.head = r } else { self[list.tail].next = r }
    list.tail = r
  }

  func append(all other: inout RequestList, to list: inout RequestList) {
    guard !other.isEmpty else { return }
    if list.tail.isNone { list.head = other.head } else { self[list.tail].next = other.head }
    list.tail = other.tail
    other = RequestList()
  }

  func popFirst(_ list: inout RequestList) -> RequestIndex? {
    let r = list.head
    guard !r.isNone else { return nil }
    list.head = self[r].next
    if list.head.isNone { list.tail = .none }
    self[r].next = .none
    return r
  }
}

extension PartSlot {
  init(unusedOf request: RequestIndex) {
    unsafe self.init(
      request: request, kind: .read, phase: .admitting, wasDelayed: false, usesFresh: false,
      changesMap: false, nodeFailed: false, readsData: false, spaceTries: 0,
      volume: VolumeSlot(index: 0), extent: VirtualExtent(index: 0),
      endExtent: VirtualExtent(index: 0), mask: .none,
      writing: .none, settling: .none, copying: .none, edges: .none, headBytes: 0, tailBytes: 0,
      target: .none, origin: nil, lock: .none, epoch: 0, pendingCommands: 0, deviceError: nil,
      bounce: .none, next: .none)
  }

  /// A part of `request` at its start.
  init(_ kind: PartKind, of request: RequestIndex, volume: VolumeSlot, extent: VirtualExtent) {
    self.init(unusedOf: request)
    self.kind = kind
    self.volume = volume
    self.extent = extent
  }
}
