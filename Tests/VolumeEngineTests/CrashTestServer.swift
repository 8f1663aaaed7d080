import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import VolumeEngine

/// A server on simulated media: opens the pool as a start does and drives the engine.
@safe final class CrashTestServer {
  let disks: SimulatedDisks
  let engine: VolumeEngine
  let report: PoolOpening.Report
  private(set) var clock = SimulatedClock(now: MonotonicTime(nanoseconds: 1_000_000_000))
  /// Called after each command was given to a device and after each completion that a device made
  /// of one, before the engine hears of it: the points at which a crash can be told apart.
  var atEvent: () -> Void = {}
  /// Called with each answer.
  var answered: (ExportAnswer) -> Void = { _ in }
  var managementAnswered: (ManagementAnswer) -> Void = { _ in }

  private let tailMemory: UnsafeMutableRawBufferPointer
  private let boot: UInt64

  /// Opens the pool on `media`, whose devices it uses and changes from then on. `crashAfter`: the
  /// start is interrupted after so many I/Os.
  init(
    _ media: CrashTestMedia, seed: UInt64, crashAfter limit: Int? = nil
  ) throws(PoolOpeningError) {
    disks = SimulatedDisks(devices: media.devices, seed: seed)
    boot = media.boot
    unsafe tailMemory = .allocate(byteCount: media.tail.count, alignment: 4096)
    unsafe tailMemory.copyBytes(from: media.tail)
    disks.crashPoint.limit = limit
    let opening = Opening(host: "test", process: 2, at: 2)
    let opened: PoolOpening.Opened
    do throws(PoolOpeningError) {
      opened = try unsafe PoolOpening.open(
        media.devices,
        settings: PoolOpening.Settings(
          bounds: PoolBounds(
            nodeCacheBytes: 1 << 20, dirtyNodeBytes: 256 << 10, countDeltaBytes: 128 << 10),
          recordBytes: CrashTestMedia.recordBytes, logNonce: seed ^ media.boot, opening: opening,
          bootID: StorageUUID(high: 0xB007, low: media.boot)),
        tail: UnsafeRawBufferPointer(tailMemory))
    } catch {
      unsafe tailMemory.deallocate()
      throw error
    }
    disks.crashPoint.limit = nil
    report = opened.report
    let tail = unsafe TailRing(
      memory: tailMemory, pool: opened.pool.uuid, logGeneration: opened.journal.logGeneration,
      bootID: StorageUUID(high: 0xB007, low: media.boot))
    var configuration = EngineConfiguration(opening: opening)
    configuration.requestSlots = 32
    configuration.parkedRequests = 8
    configuration.commandSlots = 512
    configuration.bounceExtents = 4
    configuration.nodeLoads = 4
    configuration.stagingBuffers = 2
    configuration.stagingBytes = 64 << 10
    engine = VolumeEngine(
      pool: opened.pool, configuration: configuration, journal: opened.journal, tail: tail)
  }

  deinit { unsafe tailMemory.deallocate() }

  /// A copy of everything that would outlive the server if it ended now.
  func media() -> CrashTestMedia {
    CrashTestMedia(
      devices: disks.devices.map { $0.fork() }, tail: unsafe [UInt8](tailMemory), boot: boot)
  }

  // MARK: Driving

  func turn() {
    engine.turn(now: clock.now)
    collect()
  }

  private func collect() {
    while let command = engine.commands.removeFirst() {
      disks.submit(command)
      atEvent()
    }
    while let answer = engine.answers.removeFirst() { answered(answer) }
    while let answer = engine.nextManagementAnswer() { managementAnswered(answer) }
  }

  /// One completion, drawn from the seed; false if nothing is in flight.
  @discardableResult
  func completeOne() -> Bool {
    guard let completion = disks.completeOne() else { return false }
    atEvent()
    engine.complete(completion)
    collect()
    turn()
    return true
  }

  func advance(milliseconds: UInt64) {
    clock.advance(milliseconds: milliseconds)
    turn()
  }

  /// Runs until nothing is in flight and nothing is to do at once.
  func settle() {
    repeat { turn() } while completeOne() || engine.nextDeadline.map { $0 <= clock.now } == true
  }

  /// False if no slot is free.
  func submit(_ request: ExportRequest) -> Bool {
    guard engine.submit(request) else { return false }
    collect()
    return true
  }

  // MARK: One after the other

  /// What a volume holds from `firstSector` on; nil if it cannot be read.
  func read(_ volume: VolumeID, sectors: Range<UInt64>) -> [UInt8]? {
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

  /// Stops as SIGTERM does; whether the stop ended well.
  func stop() -> Bool {
    var result: ManagementResult?
    managementAnswered = { result = $0.result }
    engine.stop(token: 0)
    settle()
    return result == .done
  }
}

/// The buffer of a request: whole blocks around its sectors.
@safe final class RequestBuffer {
  private let base: UnsafeMutableRawPointer
  private let firstSector: UInt64

  init(sectors: Range<UInt64>) {
    firstSector = sectors.lowerBound / 8 * 8
    let count = Int((sectors.upperBound + 7) / 8 * 8 - firstSector) * 512
    unsafe base = .allocate(byteCount: count, alignment: 4096)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0xEE, count: count)
  }

  deinit { unsafe base.deallocate() }

  func pointer(toSector sector: UInt64) -> UnsafeMutableRawPointer {
    unsafe base + Int(sector - firstSector) * 512
  }

  func memory(of sectors: Range<UInt64>) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(
      start: pointer(toSector: sectors.lowerBound), count: sectors.count * 512)
  }

  func bytes(of sectors: Range<UInt64>) -> [UInt8] { unsafe [UInt8](memory(of: sectors)) }
}
