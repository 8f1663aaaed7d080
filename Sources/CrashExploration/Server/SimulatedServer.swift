public import BlockExport
public import BlockIO
import DiskFormat
public import DiskSimulation
public import PoolCore
public import StorageUnits
public import VolumeEngine

/// A server on simulated media: opens the pool as a start does and drives the engine.
@safe public final class SimulatedServer {
  public let disks: SimulatedDisks
  public let engine: VolumeEngine
  public let report: PoolOpening.Report
  /// For looking at; the engine alone changes it.
  public let pool: Pool
  /// The index of each device, in the order of the media.
  public let indices: [DeviceIndex]
  public private(set) var clock = SimulatedClock(
    now: MonotonicTime(nanoseconds: 1_000_000_000))
  /// In which order commands in flight complete.
  public var completionOrder = CompletionOrder.drawn
  /// Called after each command was given to a device and after each completion that a device made
  /// of one, before the engine hears of it: the points at which a crash can be told apart.
  public var atEvent: () -> Void = {}
  /// Called with each command before a device is given it.
  public var atCommand: (IOCommand) -> Void = { _ in }
  /// Called with each answer.
  public var answered: (ExportAnswer) -> Void = { _ in }
  public var managementAnswered: (ManagementAnswer) -> Void = { _ in }

  private let tailMemory: UnsafeMutableRawBufferPointer
  public let boot: UInt64

  public enum CompletionOrder: String, CaseIterable, Hashable, Sendable {
    /// Drawn from the seed; a few are laggards.
    case drawn
    /// In order of submission.
    case oldestFirst
    /// The last one submitted first.
    case newestFirst
    /// In order of submission, but what hosts read after everything else.
    case hostReadsLast
  }

  /// Opens the pool on `media`, whose devices it uses and changes from then on. `crashAfter`: the
  /// start is interrupted after so many I/Os. `watch` is called before each I/O of the start and
  /// when all have ended.
  public init(
    _ media: SimulatedMedia, seed: UInt64, settings: ServerSettings = .roomy,
    crashAfter limit: Int? = nil, watching watch: ((SimulatedDisks) -> Void)? = nil
  ) throws(PoolOpeningError) {
    disks = SimulatedDisks(devices: media.devices, seed: seed)
    boot = media.boot
    unsafe tailMemory = .allocate(byteCount: media.tail.count, alignment: 4096)
    unsafe tailMemory.copyBytes(from: media.tail)
    disks.crashPoint.limit = limit
    let disks = disks
    if let watch { disks.crashPoint.beforeEvent = { [unowned disks] in watch(disks) } }
    let bootID = StorageUUID(high: 0xB007, low: media.boot)
    let opened: PoolOpening.Opened
    do throws(PoolOpeningError) {
      opened = try unsafe PoolOpening.open(
        media.devices,
        settings: PoolOpening.Settings(
          bounds: settings.bounds, recordBytes: settings.recordBytes,
          logNonce: seed ^ media.boot, opening: settings.opening, bootID: bootID),
        tail: UnsafeRawBufferPointer(tailMemory))
    } catch {
      unsafe tailMemory.deallocate()
      throw error
    }
    disks.crashPoint.limit = nil
    disks.crashPoint.beforeEvent = nil
    watch?(disks)
    report = opened.report
    pool = opened.pool
    indices = opened.indices
    let tail = unsafe TailRing(
      memory: tailMemory, pool: opened.pool.uuid, logGeneration: opened.journal.logGeneration,
      bootID: bootID)
    engine = VolumeEngine(
      pool: opened.pool, configuration: settings.engine, journal: opened.journal, tail: tail)
  }

  deinit { unsafe tailMemory.deallocate() }

  /// A copy of everything that would outlive the server if it ended now.
  public func media() -> SimulatedMedia {
    SimulatedMedia(devices: disks.devices.map { $0.fork() }, tail: tailBytes, boot: boot)
  }

  /// The bytes of the tail now.
  public var tailBytes: [UInt8] { unsafe [UInt8](tailMemory) }

  // MARK: Driving

  public func turn() {
    engine.turn(now: clock.now)
    collect()
  }

  private func collect() {
    while let command = engine.commands.removeFirst() {
      atCommand(command)
      disks.submit(command)
      atEvent()
    }
    while let answer = engine.answers.removeFirst() { answered(answer) }
    while let answer = engine.nextManagementAnswer() { managementAnswered(answer) }
  }

  /// One completion, of the command that `completionOrder` says; false if nothing is in flight.
  @discardableResult
  public func completeOne() -> Bool {
    let completion =
      switch completionOrder {
      case .drawn: disks.completeOne()
      case .oldestFirst: disks.inFlightCount > 0 ? disks.complete(at: 0) : nil
      case .newestFirst:
        disks.inFlightCount > 0 ? disks.complete(at: disks.inFlightCount - 1) : nil
      case .hostReadsLast:
        disks.inFlightCount > 0 ? disks.complete(at: firstButHostReads ?? 0) : nil
      }
    guard let completion else { return false }
    atEvent()
    engine.complete(completion)
    collect()
    turn()
    return true
  }

  /// The place of the first command in flight that does not read for a host.
  private var firstButHostReads: Int? {
    disks.firstInFlight { engine.purpose(ofCommand: $0.token) != .hostRead }
  }

  /// What hosts read is in flight.
  public var hasHostReadsInFlight: Bool {
    disks.firstInFlight { engine.purpose(ofCommand: $0.token) == .hostRead } != nil
  }

  /// Runs until nothing but what hosts read is in flight. The order of completion must leave that
  /// to the last.
  public func settleAllButHostReads() {
    precondition(completionOrder == .hostReadsLast)
    turn()
    while firstButHostReads != nil, completeOne() {}
  }

  public func advance(milliseconds: UInt64) {
    clock.advance(milliseconds: milliseconds)
    turn()
  }

  /// Runs until nothing is in flight and nothing is to do at once.
  public func settle() {
    repeat { turn() } while completeOne() || engine.nextDeadline.map { $0 <= clock.now } == true
  }

  /// False if no slot is free.
  public func submit(_ request: ExportRequest) -> Bool {
    guard engine.submit(request) else { return false }
    collect()
    return true
  }

  // MARK: One after the other

  /// What a volume holds from `firstSector` on; nil if it cannot be read.
  public func read(_ volume: VolumeID, sectors: Range<UInt64>) -> [UInt8]? {
    let start = sectors.lowerBound / 8 * 8
    let buffer = RequestBuffer(sectors: start..<sectors.upperBound)
    var error: ExportError?
    let before = answered
    answered = { error = $0.error }
    defer { answered = before }
    let request = unsafe ExportRequest(
      .read, volume: volume, offset: sectors.lowerBound * 512,
      length: UInt64(sectors.count) * 512, buffer: buffer.pointer(toSector: sectors.lowerBound),
      token: 0)
    guard submit(request) else { return nil }
    settle()
    return error == nil ? buffer.bytes(of: sectors) : nil
  }

  /// What a volume's sectors hold on the devices now, where the map says they lie; nil if a part of
  /// the map is not in memory. No I/O is done.
  public func peek(_ volume: VolumeID, sectors: Range<UInt64>) -> [UInt8]? {
    guard let slot = pool.volume(volume) else { return nil }
    var bytes: [UInt8] = []
    for block in sectors.lowerBound / 8..<(sectors.upperBound + 7) / 8 {
      let extent = VirtualExtent(index: block / UInt64(StorageSizes.blocksPerExtent))
      guard case .entry(let entry) = pool.lookup(slot, extent) else { return nil }
      let isOwed = pool.owedMask(slot, extent).contains(Int(block) & 15)
      guard !isOwed, let place = place(of: Int(block), entry) else {
        bytes += [UInt8](repeating: 0, count: 4096)
        continue
      }
      bytes += disks.devices[place.device].contents(
        at: DeviceByteOffset(place.page << 12), count: 4096)
    }
    let start = Int(sectors.lowerBound % 8) * 512
    return Array(bytes[start..<start + sectors.count * 512])
  }

  /// The position of the device and the page on it where a block of a volume lies; nil: it reads as
  /// zeros.
  func place(of block: Int, _ entry: MapEntry) -> (device: Int, page: UInt64)? {
    let inExtent = block % StorageSizes.blocksPerExtent
    let layer =
      entry.upper.mask.contains(inExtent)
      ? entry.upper : entry.lower.mask.contains(inExtent) ? entry.lower : nil
    guard let layer else { return nil }
    let place = pool.place(of: layer.address(ofBlock: inExtent))
    guard let device = indices.firstIndex(of: place.device) else {
      preconditionFailure("a place is on a device of the pool")
    }
    return (device, place.block)
  }

  /// Stops as SIGTERM does; whether the stop ended well.
  public func stop() -> Bool {
    var result: ManagementResult?
    managementAnswered = { result = $0.result }
    engine.stop(token: 0)
    settle()
    return result == .done
  }
}
