import StorageUnits

/// What a command was for: says where its completion goes.
enum IOPurpose: UInt8 {
  /// A read or write of the parts `first ... last`.
  case partRead, partWrite
  /// A read of the node load `first`.
  case nodeLoad
  /// A barrier of the running round, over data and over the journal.
  case roundBarrier, journalBarrier
  /// A write of the journal, of the checkpoint's staging buffer `first`, of a superblock.
  case journalWrite, stagingWrite, superblockWrite
  /// A barrier of the checkpoint.
  case checkpointBarrier
  /// File space reserved ahead; its outcome does not matter.
  case reserve
  /// The last extent of a volume that is being made smaller, read and written elsewhere.
  case resizeRead, resizeWrite
  /// The hole `first` of those in the making.
  case punch

  var isWrite: Bool {
    switch self {
    case .partWrite, .resizeWrite, .journalWrite, .stagingWrite, .superblockWrite: true
    default: false
    }
  }
}

/// A command in flight.
struct IOSlot {
  var purpose: IOPurpose
  var device: DeviceIndex
  var first: Int32
  var last: Int32
  /// Barriers: the number of writes completed when it was submitted.
  var sample: UInt64
  var isInUse: Bool
  var nextFree: Int32
}

/// The commands in flight: a fixed number of slots; the slot's index is the command's token.
@safe final class IOSlots {
  // Owned from init to deinit; indices are checked in `free`, and `take` hands out free ones only.
  private let slots: UnsafeMutablePointer<IOSlot>
  private let capacity: Int
  private var firstFree: Int32 = 0
  private(set) var freeCount: Int

  init(capacity: Int) {
    self.capacity = capacity
    freeCount = capacity
    unsafe slots = .allocate(capacity: capacity)
    for i in 0..<capacity {
      unsafe (slots + i).initialize(
        to: IOSlot(
          purpose: .partRead, device: DeviceIndex(index: 0), first: 0, last: 0, sample: 0,
          isInUse: false, nextFree: i + 1 < capacity ? Int32(i + 1) : -1))
    }
  }

  deinit { unsafe slots.deallocate() }

  var inUseCount: Int { capacity - freeCount }

  /// Takes a slot and returns the token. There must be a free one.
  func take(
    _ purpose: IOPurpose, device: DeviceIndex, first: Int32 = 0, last: Int32 = 0,
    sample: UInt64 = 0
  ) -> UInt64 {
    precondition(firstFree >= 0, "no command slot is free")
    let i = Int(firstFree)
    unsafe firstFree = slots[i].nextFree
    freeCount -= 1
    unsafe slots[i] = IOSlot(
      purpose: purpose, device: device, first: first, last: last, sample: sample, isInUse: true,
      nextFree: -1)
    return UInt64(i)
  }

  /// The command with this token, which is in flight.
  subscript(token: UInt64) -> IOSlot {
    precondition(token < UInt64(capacity))
    let slot = unsafe slots[Int(token)]
    precondition(slot.isInUse, "no such command is in flight")
    return slot
  }

  /// Ends the command with this token and returns what it was.
  func free(_ token: UInt64) -> IOSlot {
    precondition(token < UInt64(capacity))
    let i = Int(token)
    let slot = unsafe slots[i]
    precondition(slot.isInUse, "a command was completed twice")
    unsafe slots[i].isInUse = false
    unsafe slots[i].nextFree = firstFree
    firstFree = Int32(i)
    freeCount += 1
    return slot
  }
}
