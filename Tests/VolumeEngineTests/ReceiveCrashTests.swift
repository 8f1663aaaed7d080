import BlockExport
import CrashExploration
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing
import VolumeEngine

/// A crash at every I/O while something is received upon a snapshot, and while that is undone: the
/// volume has what it had before or what was sent wholly, or says that it is being received; then
/// undoing brings the base back. The base itself is never anything else.
@Suite struct ReceiveCrashTests {
  private static let sectors = 0..<UInt64(512)
  private static let lineage = StorageUUID(high: 8, low: 8)

  private static func fill(_ value: UInt8) -> [UInt8] {
    [UInt8](repeating: value, count: sectors.count * 512)
  }

  private final class Run {
    let server: SimulatedServer
    private var results: [UInt64: ManagementResult] = [:]
    private var nextToken: UInt64 = 1
    var volume = VolumeID(0)
    var base = VolumeID(0)

    init(_ media: SimulatedMedia, seed: UInt64) throws {
      server = try SimulatedServer(media, seed: seed)
      server.managementAnswered = { [unowned self] in results[$0.token] = $0.result }
    }

    func manage(_ begin: (VolumeEngine, UInt64) -> Void) -> ManagementResult? {
      let token = nextToken
      nextToken += 1
      begin(server.engine, token)
      server.settle()
      return results[token]
    }

    func write(_ value: UInt8, at sectors: Range<UInt64>) -> ExportError? {
      let buffer = RequestBuffer(sectors: sectors)
      unsafe buffer.memory(of: sectors).initializeMemory(as: UInt8.self, repeating: value)
      var error: ExportError?
      server.answered = { error = $0.error }
      let request = unsafe ExportRequest(
        .write, volume: volume, offset: sectors.lowerBound * 512,
        length: UInt64(sectors.count) * 512,
        buffer: buffer.pointer(toSector: sectors.lowerBound), token: 0)
      guard server.submit(request) else { return .inputOutput }
      server.settle()
      return error
    }

    /// A volume full of ones, and its snapshot `base`.
    func prepare() throws {
      let record = VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: 1, low: 1), name: "v",
        sizeBytes: UInt64(ReceiveCrashTests.sectors.count) * 512, logicalBlockBytes: 512,
        createdAt: 1, fullPolicy: .error)
      guard case .created(let id) = manage({ $0.createVolume(record, token: $1) }) else {
        throw ExportError.invalidRequest
      }
      volume = id
      #expect(write(1, at: ReceiveCrashTests.sectors) == nil)
      let order = SnapshotOrder(
        source: id, name: "base", uuid: StorageUUID(high: 1, low: 2), createdAt: 1)
      guard case .branched(let made) = manage({ $0.createSnapshots([order], token: $1) }) else {
        throw ExportError.invalidRequest
      }
      base = made[0]
    }

    func receive(ends: Bool) {
      #expect(manage { $0.beginReceive(volume, upon: base, token: $1) } == .done)
      for start in stride(from: UInt64(0), to: 512, by: 64) {
        #expect(write(2, at: start..<start + 64) == nil)
      }
      guard ends else {
        #expect(manage { $0.undoReceive(volume, token: $1) } == .done)
        return
      }
      let order = SnapshotOrder(
        source: volume, name: "next", uuid: StorageUUID(high: 1, low: 3), createdAt: 1)
      guard
        case .branched = manage({
          $0.endReceive(order, lineage: ReceiveCrashTests.lineage, token: $1)
        })
      else {
        Issue.record("the end was refused")
        return
      }
    }
  }

  @Test(arguments: [true, false], [1, 2, 3] as [UInt64])
  func noCrashLeavesAHalf(ends: Bool, seed: UInt64) throws {
    let run = try Run(try SimulatedMedia.create(SimulatedMedia.Options()), seed: seed)
    try run.prepare()
    var events: UInt64 = 0
    var problems: [String] = []
    var seen: Set<String> = []
    run.server.atEvent = {
      events += 1
      guard problems.isEmpty else { return }
      var cut = run.server.media()
      cut.cutPower(SeededCrash(seed: seed << 32 | events))
      let killed = run.server.media()
      killed.kill(seed: seed << 32 | events)
      for (media, what) in [(cut, "power cut"), (killed, "kill")] {
        do {
          let outcome = try Self.recover(media, run.volume, run.base, seed: events)
          seen.insert(outcome)
        } catch { problems.append("seed \(seed), event \(events), \(what): \(error)") }
      }
    }
    run.receive(ends: ends)
    run.server.atEvent = {}
    #expect(problems == [])
    #expect(seen == (ends ? ["as before", "undone", "received"] : ["as before", "undone"]))
    #expect(run.server.stop())
    #expect(run.server.media().inspect(isClosed: true) == [])
  }

  private struct Wrong: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
  }

  /// Starts on what a crash left, undoes what is unfinished as a server does, and looks.
  private static func recover(
    _ media: SimulatedMedia, _ volume: VolumeID, _ base: VolumeID, seed: UInt64
  ) throws -> String {
    let found = media.inspect()
    guard found.isEmpty else { throw Wrong("\(found)") }
    let run = try Run(media, seed: seed)
    guard let slot = run.server.pool.volume(volume) else { throw Wrong("the volume is gone") }
    let record = run.server.pool.record(of: slot)
    guard run.server.read(base, sectors: sectors) == fill(1) else { throw Wrong("another base") }
    let next = run.server.pool.volume(named: "v@next")
    var outcome = next == nil ? "as before" : "received"
    if record.isReceiving {
      guard next == nil else { throw Wrong("it is received, and says that it is being") }
      guard run.manage({ $0.undoReceive(volume, token: $1) }) == .done else {
        throw Wrong("it cannot be undone")
      }
      outcome = "undone"
    }
    let now = run.server.pool.record(of: slot)
    guard !now.isReceiving, now.lineage == .zero else { throw Wrong("the mark stays") }
    let expected = fill(outcome == "received" ? 2 : 1)
    guard run.server.read(volume, sectors: sectors) == expected else {
      throw Wrong("\(outcome), with other content")
    }
    if let next {
      let snapshot = run.server.pool.record(of: next)
      guard snapshot.lineage == lineage, run.server.read(snapshot.id, sectors: sectors) == fill(2)
      else { throw Wrong("another snapshot than was sent") }
    }
    guard run.server.stop() else { throw Wrong("it does not stop") }
    let left = run.server.media().inspect(isClosed: true)
    guard left.isEmpty else { throw Wrong("after the stop: \(left)") }
    return outcome
  }
}
