public import BlockIO
public import StorageUnits

/// A device in memory that forgets like a real one.
///
/// Every write is volatile until a flush that was submitted after the write's completion has
/// completed. Reads see what was completed (and, while a write is in flight, each of its sectors as
/// it was or as it will be). A power cut keeps any legal part of the volatile writes; the death of
/// the process keeps all that was submitted, and it stays volatile.
///
/// Overlapping writes in flight land in order of completion; a power cut applies them in order of
/// submission. The engine is not to rely on either: `SimulatedDisks.overlappingWrites` counts them.
///
/// Not thread-safe: one simulation, one thread.
public final class SimulatedDevice: SynchronousDevice {
  public let name: String
  public let sizeBytes: UInt64
  public let logicalBlockBytes: Int
  /// What operations were asked for so far; those that failed included.
  public private(set) var counts = OperationCounts()
  /// Cuts a history of synchronous calls off; shared by the devices of one simulation.
  public var crashPoint = CrashPoint()
  /// ENODEV for everything.
  public private(set) var isVanished = false
  /// How often faults have hit.
  public private(set) var faultCounts = FaultCounts()
  /// Called before each synchronous operation, with its offset and length in bytes.
  public var atSynchronousCall: (IOCommand.Operation, DeviceByteOffset, Int) -> Void = { _, _, _ in
  }

  /// Whether synchronous reads are noted in the two that follow.
  public var notesPagesRead = false
  /// Pages that synchronous reads found to be zeros.
  public internal(set) var zeroPagesRead: Set<UInt64> = []
  /// A synchronous read has seen a page that hosts wrote.
  public internal(set) var hasReadHostData = false

  var state = State()
  private var faults: [ArmedFault] = []
  private var space: BackingSpace?

  /// The contents and what is volatile of them: a value, so that a state can be kept and tried
  /// again.
  public struct State {
    /// What survives a power cut that keeps nothing more.
    var durable = SparseBytes()
    /// What reads see.
    var visible = SparseBytes()
    /// Completed and volatile, in order of completion.
    var unflushed: [PendingWrite] = []
    /// In order of submission.
    var inFlight: [PendingWrite] = []
    /// Given to the kernel by a process that died; they land when they like.
    var late: [PendingWrite] = []
    var submissions: UInt64 = 0
    var completions: UInt64 = 0
  }

  private struct ArmedFault {
    var fault: DeviceFault
    /// Operations that still pass before it.
    var remaining: Int
  }

  /// `sizeBytes` is a multiple of 4096.
  public init(name: String, sizeBytes: UInt64, logicalBlockBytes: Int = 512) {
    precondition(sizeBytes % 4096 == 0)
    precondition(logicalBlockBytes == 512 || logicalBlockBytes == 4096)
    self.name = name
    self.sizeBytes = sizeBytes
    self.logicalBlockBytes = logicalBlockBytes
  }

  /// A device that holds `contents`, durably.
  public init(
    name: String, sizeBytes: UInt64, logicalBlockBytes: Int, contents: SparseBytes
  ) {
    self.name = name
    self.sizeBytes = sizeBytes
    self.logicalBlockBytes = logicalBlockBytes
    state.durable = contents
    state.visible = contents
  }

  /// A device with the same contents and the same volatile writes, without faults and counts.
  public func fork() -> SimulatedDevice {
    let copy = SimulatedDevice(
      name: name, sizeBytes: sizeBytes, logicalBlockBytes: logicalBlockBytes)
    copy.state = state
    return copy
  }

  /// The state now, for `restore`.
  public func snapshot() -> State { state }

  /// Goes back to an earlier state: a device that returns old, or another try.
  public func restore(_ earlier: State) { state = earlier }

  // MARK: Faults

  public func inject(_ fault: DeviceFault) {
    faults.append(ArmedFault(fault: fault, remaining: fault.number - 1))
  }

  public func clearFaults() { faults = [] }

  public func vanish() { isVanished = true }

  /// Answers again, with what it holds; `restore` before makes it return old.
  public func comeBack() { isVanished = false }

  /// From now on writes to pages that were not written since, and reserving ranges, fail with
  /// ENOSPC when `freeBytes` are used up. The first `backedBelow` bytes of the device need none.
  public func limitSpace(freeBytes: UInt64, backedBelow: UInt64) {
    space = BackingSpace(freeBytes: freeBytes, backedBelow: backedBelow)
  }

  /// Space has come underneath.
  public func addSpace(bytes: UInt64) { space?.add(bytes: bytes) }

  public func endSpaceLimit() { space = nil }

  /// Flips one bit of what is stored, on the medium and in what reads see.
  public func rot(at offset: DeviceByteOffset, bit: Int) {
    faultCounts.rottenBits += 1
    state.durable.flipBit(at: offset.bytes, bit: bit)
    state.visible.flipBit(at: offset.bytes, bit: bit)
  }

  /// Counts an operation and says what goes wrong with it. `bytes`: what a write carries.
  func begin(
    _ operation: IOCommand.Operation, at offset: DeviceByteOffset, length: Int,
    bytes: UnsafeRawBufferPointer? = nil
  ) -> DeviceFault.Effect? {
    counts.count(operation, length: length)
    var hit = unsafe fault(hitting: operation, at: offset.bytes, length: length, bytes)
    if isVanished {
      faultCounts.refusedWhileVanished += 1
      return .error(errno: SimulatedErrno.noDevice)
    }
    if space?.admit(operation, at: offset.bytes, length: length) == false {
      faultCounts.refusedForSpace += 1
      return .error(errno: SimulatedErrno.noSpace)
    }
    if let effect = hit {
      faultCounts.count(effect)
      if case .short(let done, let errno) = effect, done >= length { hit = .error(errno: errno) }
    }
    return hit
  }

  private func fault(
    hitting operation: IOCommand.Operation, at offset: UInt64, length: Int,
    _ bytes: UnsafeRawBufferPointer?
  ) -> DeviceFault.Effect? {
    guard !faults.isEmpty else { return nil }
    var hit: DeviceFault.Effect?
    var kept: [ArmedFault] = []
    for var armed in faults {
      guard unsafe armed.fault.concerns(operation, at: offset, length: length, bytes) else {
        kept.append(armed)
        continue
      }
      if armed.remaining > 0 {
        armed.remaining -= 1
        kept.append(armed)
        continue
      }
      if armed.fault.isForGood { kept.append(armed) }
      switch armed.fault.effect {
      case .rot(let at, let bit): rot(at: at, bit: bit)
      case .vanish: isVanished = true
      default: hit = armed.fault.effect
      }
    }
    faults = kept
    return hit
  }

  /// Whether a range can be read or written at all.
  func contains(_ offset: DeviceByteOffset, length: Int) -> Bool {
    UInt64(length) <= sizeBytes && offset.bytes <= sizeBytes - UInt64(length)
  }

  // MARK: Writes

  /// Takes a write (`bytes` nil: zeros) into flight; returns its sequence.
  func submitWrite(
    at offset: DeviceByteOffset, length: Int, bytes: UnsafeRawBufferPointer?
  ) -> UInt64 {
    state.submissions += 1
    state.inFlight.append(
      unsafe PendingWrite(
        sequence: state.submissions, offset: offset.bytes, length: length, bytes: bytes))
    return state.submissions
  }

  /// Whether a write that overlaps the range is in flight.
  func hasWriteInFlight(at offset: DeviceByteOffset, length: Int) -> Bool {
    state.inFlight.contains { $0.overlaps(at: offset.bytes, count: length) }
  }

  /// The write is done: reads see what `fate` keeps of it, and it is volatile.
  func completeWrite(_ sequence: UInt64, fate: WriteFate = .whole, movedByBytes: Int = 0) {
    guard let index = state.inFlight.firstIndex(where: { $0.sequence == sequence }) else { return }
    let write = state.inFlight.remove(at: index)
    land(write, fate: fate, movedByBytes: movedByBytes)
  }

  func land(_ write: PendingWrite, fate: WriteFate, movedByBytes: Int = 0) {
    state.completions += 1
    guard fate != .absent else { return }
    let offset = Int(write.offset) + movedByBytes
    guard offset >= 0, contains(DeviceByteOffset(UInt64(offset)), length: write.length) else {
      return
    }
    var moved = PendingWrite(write, movedTo: UInt64(offset))
    moved.completion = state.completions
    if fate != .whole {
      moved.replacedSectors = Self.sectors(of: moved, notKeptBy: fate, atomBytes: logicalBlockBytes)
    }
    moved.apply(.whole, atomBytes: logicalBlockBytes, to: &state.visible)
    state.unflushed.append(moved)
  }

  private static func sectors(of write: PendingWrite, notKeptBy fate: WriteFate, atomBytes: Int)
    -> Set<UInt64>
  {
    let atoms = (write.length + atomBytes - 1) / atomBytes
    var sectors: Set<UInt64> = []
    for atom in 0..<atoms where !fate.keeps(atom: atom, of: atoms) {
      let end = min((atom + 1) * atomBytes, write.length)
      for at in stride(from: atom * atomBytes, to: end, by: 512) {
        sectors.insert(write.offset + UInt64(at))
      }
    }
    return sectors
  }

  // MARK: Flushes

  /// What a flush that is submitted now will make durable: everything completed so far.
  var flushSample: UInt64 { state.completions }

  func completeFlush(sample: UInt64) {
    var kept: [PendingWrite] = []
    for write in state.unflushed {
      guard write.completion <= sample, !write.isStuck else {
        kept.append(write)
        continue
      }
      write.apply(.whole, atomBytes: logicalBlockBytes, to: &state.durable)
      // A stuck write is older: the medium must not go back to it.
      for i in kept.indices
      where kept[i].isStuck && kept[i].overlaps(at: write.offset, count: write.length) {
        for at in stride(from: 0, to: write.length, by: 512) {
          kept[i].replacedSectors.insert(write.offset + UInt64(at))
        }
      }
    }
    state.unflushed = kept
  }

  /// A flush failed: what it should have made durable never will be by a later one.
  func failFlush(sample: UInt64) {
    for i in state.unflushed.indices where state.unflushed[i].completion <= sample {
      state.unflushed[i].isStuck = true
    }
  }

  // MARK: Reads

  /// Fills `buffer`; each sector that a write in flight covers is as before or as that write has
  /// it, as `random` says.
  func read(
    at offset: DeviceByteOffset, into buffer: UnsafeMutableRawBufferPointer,
    mixedBy random: inout SeededRandom
  ) {
    let overlapping = state.inFlight.filter { $0.overlaps(at: offset.bytes, count: buffer.count) }
    if overlapping.isEmpty {
      unsafe state.visible.read(at: offset.bytes, into: buffer)
      return
    }
    var mixed = state.visible
    for write in overlapping {
      let fate: WriteFate =
        random.oneIn(4) ? .absent : random.oneIn(3) ? .whole : .scattered(seed: random.next())
      write.apply(fate, atomBytes: logicalBlockBytes, to: &mixed)
    }
    unsafe mixed.read(at: offset.bytes, into: buffer)
  }
}

extension SimulatedDevice {
  /// Whether the bytes captured for a write in flight are no longer those of its buffer.
  func isInFlight(_ sequence: UInt64, differsFrom buffer: UnsafeMutableRawBufferPointer) -> Bool {
    guard let write = state.inFlight.first(where: { $0.sequence == sequence }) else {
      return false
    }
    return unsafe write.differs(from: buffer)
  }
}
