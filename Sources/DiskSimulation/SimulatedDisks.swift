public import BlockIO
import StorageUnits

/// The devices of one simulation: takes `IOCommand`s and completes them in an order drawn from the
/// seed, one at a time, when it is told to.
///
/// - A write's bytes are captured when it is submitted; that the buffer is still the same at
///   completion is checked (`changedBuffers`), for a real device may fetch it at any time between.
/// - A read fills its buffer at completion; until then the buffer holds noise.
/// - A read that overlaps a write in flight gives each sector old or new.
/// - A flush makes durable exactly what had completed on its device when it was submitted.
/// - A few commands are laggards: they complete after everything else that is in flight.
///
/// Not thread-safe. The same seed and the same calls give the same history, to the byte.
@safe public final class SimulatedDisks {
  public let devices: [SimulatedDevice]
  /// Shared by all devices, synchronous calls included.
  public let crashPoint = CrashPoint()
  /// What happened, if `keepsLog`.
  public private(set) var log: [IOEvent] = []
  public var keepsLog = false
  /// Writes submitted while one to the same bytes was in flight: not ordered on any real device.
  public private(set) var overlappingWrites = 0
  /// Writes whose buffer changed between submission and completion.
  public private(set) var changedBuffers = 0
  /// Commands that ended with an error, per kind.
  public private(set) var failures = OperationCounts()
  /// Tells histories apart: of every event, and of the bytes that were written and read; kept if
  /// `keepsDigest`.
  public private(set) var digest: UInt64 = 0
  public var keepsDigest = false

  private var random: SeededRandom
  private var commands: [InFlightCommand] = []

  private struct InFlightCommand {
    var command: IOCommand
    var effect: DeviceFault.Effect?
    /// The write's sequence on its device, or the flush's sample.
    var ticket: UInt64
    var isLaggard: Bool
    var isOutside: Bool
    /// It does not complete before so many others have.
    var heldUntil: UInt64 = 0
  }

  /// Completions so far.
  private var completions: UInt64 = 0

  /// Device `i` has index `i`.
  public init(devices: [SimulatedDevice], seed: UInt64) {
    self.devices = devices
    random = SeededRandom(seed: seed)
    for device in devices { device.crashPoint = crashPoint }
  }

  public var inFlightCount: Int { commands.count }

  /// The operations that are in flight, in order of submission.
  public var inFlight: [IOEvent] { commands.map { event($0.command, .submitted, errno: 0) } }

  /// The place of the first command in flight, in order of submission, that is like this.
  public func firstInFlight(where isWanted: (IOCommand) -> Bool) -> Int? {
    commands.firstIndex { isWanted($0.command) }
  }

  // MARK: Submission

  /// Takes a command; swallows it if the crash point is reached.
  public func submit(_ command: IOCommand) {
    guard crashPoint.admit() else { return }
    precondition(command.offset.bytes % 4096 == 0)
    precondition(command.length >= 0)
    precondition(command.length % 4096 == 0)
    let device = devices[Int(command.device.index)]
    let payload =
      command.operation == .write ? unsafe UnsafeRawBufferPointer(bytes(of: command)) : nil
    let effect = unsafe device.begin(
      command.operation, at: command.offset, length: command.length, bytes: payload)
    let isOutside = !device.contains(command.offset, length: command.length)
    record(event(command, .submitted, errno: 0))
    var ticket: UInt64 = 0
    switch command.operation {
    case .write where !isOutside:
      noteOverlap(command, on: device)
      ticket = unsafe device.submitWrite(
        at: command.offset, length: command.length,
        bytes: UnsafeRawBufferPointer(bytes(of: command)))
    case .punchHole where !isOutside:
      noteOverlap(command, on: device)
      ticket = unsafe device.submitWrite(at: command.offset, length: command.length, bytes: nil)
    case .flush: ticket = device.flushSample
    case .read:
      unsafe bytes(of: command).initializeMemory(as: UInt8.self, repeating: 0xDB)
    default: break
    }
    if let payload = unsafe payload { unsafe digest(payload) }
    var entry = InFlightCommand(
      command: command, effect: effect, ticket: ticket, isLaggard: random.oneIn(8),
      isOutside: isOutside)
    if case .slow(let others) = effect { entry.heldUntil = completions + UInt64(others) }
    commands.append(entry)
  }

  private func noteOverlap(_ command: IOCommand, on device: SimulatedDevice) {
    if device.hasWriteInFlight(at: command.offset, length: command.length) {
      overlappingWrites += 1
    }
  }

  // MARK: Completion

  /// Completes one command of those in flight; nil if there is none or the crash point is reached.
  public func completeOne() -> IOCompletion? {
    guard !commands.isEmpty else { return nil }
    let free = commands.indices.filter { commands[$0].heldUntil <= completions }
    guard !free.isEmpty else { return complete(at: random.below(commands.count)) }
    let prompt = free.filter { !commands[$0].isLaggard }
    let index =
      prompt.isEmpty || random.oneIn(32)
      ? free[random.below(free.count)] : prompt[random.below(prompt.count)]
    return complete(at: index)
  }

  /// Completes the command at this place in the order of submission of those in flight; one that is
  /// done in two pieces stays in flight with the second, and another one completes.
  public func complete(at index: Int) -> IOCompletion? {
    guard crashPoint.admit() else { return nil }
    let entry = commands.remove(at: index)
    if finishFirstPiece(entry) { return completeOne() }
    let errno = finish(entry)
    completions += 1
    if errno != 0 { failures.count(entry.command.operation, length: 0) }
    if entry.command.operation == .read, errno == 0 {
      unsafe digest(UnsafeRawBufferPointer(bytes(of: entry.command)))
    }
    record(event(entry.command, .completed, errno: errno))
    return IOCompletion(token: entry.command.token, errno: errno)
  }

  /// The first piece of a transfer that is done in two; the second is in flight then.
  private func finishFirstPiece(_ entry: InFlightCommand) -> Bool {
    guard case .inTwoPieces(let count) = entry.effect, !entry.isOutside,
      count > 0, count < entry.command.length, let buffer = unsafe entry.command.buffer
    else { return false }
    let device = devices[Int(entry.command.device.index)]
    if device.isVanished { return false }
    var rest = entry
    rest.effect = nil
    rest.heldUntil = completions + 1
    rest.command.offset = DeviceByteOffset(entry.command.offset.bytes + UInt64(count))
    rest.command.length -= count
    unsafe rest.command.buffer = buffer + count
    switch entry.command.operation {
    case .read:
      let first = unsafe UnsafeMutableRawBufferPointer(start: buffer, count: count)
      unsafe device.read(at: entry.command.offset, into: first, mixedBy: &random)
    case .write:
      device.completeWrite(entry.ticket, fate: .prefix(atoms: count / device.logicalBlockBytes))
      rest.ticket = unsafe device.submitWrite(
        at: rest.command.offset, length: rest.command.length,
        bytes: UnsafeRawBufferPointer(bytes(of: rest.command)))
    case .flush, .reserveSpace, .punchHole: return false
    }
    commands.append(rest)
    return true
  }

  private func finish(_ entry: InFlightCommand) -> Int32 {
    let device = devices[Int(entry.command.device.index)]
    if entry.isOutside { return SimulatedErrno.inputOutput }
    var effect = entry.effect
    if device.isVanished { effect = .error(errno: SimulatedErrno.noDevice) }
    switch entry.command.operation {
    case .read:
      let buffer = unsafe bytes(of: entry.command)
      if case .error(let errno) = effect { return errno }
      if case .short(let count, let errno) = effect {
        let first = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        unsafe device.read(at: entry.command.offset, into: first, mixedBy: &random)
        return errno
      }
      unsafe device.read(at: entry.command.offset, into: buffer, mixedBy: &random)
    case .write: return finishWrite(entry, effect, on: device)
    case .punchHole:
      if case .error(let errno) = effect {
        device.completeWrite(entry.ticket, fate: anyFate(entry.command.length))
        return errno
      }
      device.completeWrite(entry.ticket)
    case .flush:
      switch effect {
      case .error(let errno):
        device.failFlush(sample: entry.ticket)
        return errno
      case .lyingFlush: break
      default: device.completeFlush(sample: entry.ticket)
      }
    case .reserveSpace:
      if case .error(let errno) = effect { return errno }
    }
    return 0
  }

  private func finishWrite(
    _ entry: InFlightCommand, _ effect: DeviceFault.Effect?, on device: SimulatedDevice
  ) -> Int32 {
    if unsafe device.isInFlight(entry.ticket, differsFrom: bytes(of: entry.command)) {
      changedBuffers += 1
    }
    switch effect {
    case .error(let errno):
      let fate = SimulatedErrno.changesNothing(errno) ? .absent : anyFate(entry.command.length)
      device.completeWrite(entry.ticket, fate: fate)
      return errno
    case .short(let count, let errno):
      device.completeWrite(entry.ticket, fate: .prefix(atoms: count / device.logicalBlockBytes))
      return errno
    case .lostWrite: device.completeWrite(entry.ticket, fate: .absent)
    case .misdirectedWrite(let distance):
      device.completeWrite(entry.ticket, movedByBytes: distance)
    default: device.completeWrite(entry.ticket)
    }
    return 0
  }

  /// What a failed write may have left.
  private func anyFate(_ length: Int) -> WriteFate {
    switch random.below(3) {
    case 0: .absent
    case 1: .whole
    default: .scattered(seed: random.next())
    }
  }

  // MARK: Crashes

  /// The power goes on all devices at once. Commands in flight are never completed and their
  /// buffers not touched again.
  public func powerCut(choosing chooser: inout some CrashChooser) {
    commands = []
    let perDevice = devices.indices.map {
      devices[$0].unflushedWrites(of: DeviceIndex(index: UInt16($0)))
    }
    let count = perDevice.reduce(0) { $0 + $1.count }
    var index = 0
    for (device, writes) in zip(devices, perDevice) {
      var fates: [WriteFate] = []
      for write in writes {
        fates.append(chooser.fate(of: write, index: index, count: count))
        index += 1
      }
      device.powerCut(fates: fates)
    }
  }

  /// The unflushed writes of all devices, in the order in which a `CrashChooser` is asked.
  public var unflushedWrites: [UnflushedWrite] {
    devices.indices.flatMap { devices[$0].unflushedWrites(of: DeviceIndex(index: UInt16($0))) }
  }

  /// The process dies: commands in flight are never completed, their writes go on as `death` says.
  public func processDeath(_ death: ProcessDeath) {
    commands = []
    for device in devices { device.processDeath(death) }
  }

  // MARK: Bookkeeping

  private func bytes(of command: IOCommand) -> UnsafeMutableRawBufferPointer {
    guard let buffer = unsafe command.buffer else {
      preconditionFailure("a command with data has a buffer")
    }
    precondition(UInt(bitPattern: buffer) % 4096 == 0)
    return unsafe UnsafeMutableRawBufferPointer(start: buffer, count: command.length)
  }

  private func record(_ event: IOEvent) {
    if keepsLog { log.append(event) }
    guard keepsDigest else { return }
    let kind =
      UInt64(event.phase.rawValue) << 56 | UInt64(event.operation.rawValue) << 48
      | UInt64(event.device.index) << 32 | UInt64(UInt32(bitPattern: event.errno))
    for word in [kind, event.offset.bytes, UInt64(event.length)] {
      digest = SeededRandom.mix(digest &* 0x9E37_79B9_7F4A_7C15 &+ word)
    }
  }

  private func digest(_ bytes: UnsafeRawBufferPointer) {
    guard keepsDigest else { return }
    for at in stride(from: 0, to: bytes.count - 7, by: 8) {
      let word = unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      digest = (digest ^ word) &* 0x9E37_79B9_7F4A_7C15
      digest ^= digest >> 29
    }
  }

  private func event(_ command: IOCommand, _ phase: IOEvent.Phase, errno: Int32) -> IOEvent {
    IOEvent(
      phase: phase, operation: command.operation, device: command.device, offset: command.offset,
      length: command.length, errno: errno)
  }
}
