import BlockExport
import BlockIO
import CrashExploration
import DiskFormat
import DiskSimulation
import StorageUnits
import Testing
import VolumeEngine

/// A device that comes back as it was before the last checkpoint is refused, also where nothing but
/// overwrites in place tells it from one that a crash left without the newest superblock.
@Suite struct OldMemberTests {
  @Test func anOldCopyIsRefusedAfterAFlushedOverwrite() throws {
    let server = try Self.server()
    try Self.write(server, 1)
    let old = server.disks.devices.map { $0.snapshot() }
    #expect(Self.manage(server) { $0.checkpoint(token: 2) } == .done)
    try Self.write(server, 2)
    try Self.expectRefusal(of: server, withOld: old)
  }

  @Test func anOldCopyIsRefusedAfterACleanStop() throws {
    let server = try Self.server()
    try Self.write(server, 1)
    let old = server.disks.devices.map { $0.snapshot() }
    #expect(server.stop())
    try Self.expectRefusal(of: server, withOld: old)
  }

  @Test func anOldCopyIsRefusedAfterAStartThatOnlyOverwrites() throws {
    let first = try Self.server()
    try Self.write(first, 1)
    #expect(first.stop())
    let media = first.media()
    let old = media.devices.map { $0.snapshot() }
    let second = try SimulatedServer(media, seed: 2)
    try Self.write(second, 2)
    try Self.expectRefusal(of: second, withOld: old)
  }

  // MARK: Steps

  private static func server() throws -> SimulatedServer {
    let server = try SimulatedServer(try SimulatedMedia.create(SimulatedMedia.Options()), seed: 1)
    let result = manage(server) {
      $0.createVolume(
        VolumeRecord(
          id: VolumeID(0), uuid: StorageUUID(high: 1, low: 1), name: "v", sizeBytes: 1 << 20,
          logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error), token: 2)
    }
    #expect(result == .created(VolumeID(1)))
    return server
  }

  private static func manage(
    _ server: SimulatedServer, _ begin: (VolumeEngine) -> Void
  ) -> ManagementResult? {
    var result: ManagementResult?
    server.managementAnswered = { result = $0.result }
    begin(server.engine)
    server.settle()
    server.managementAnswered = { _ in }
    return result
  }

  /// Writes a block and flushes.
  private static func write(_ server: SimulatedServer, _ seed: Int) throws {
    let buffer = RequestBuffer(sectors: 0..<8)
    unsafe buffer.memory(of: 0..<8).copyBytes(from: pattern(seed, 4096))
    var errors: [ExportError?] = []
    server.answered = { errors.append($0.error) }
    for request in unsafe [
      ExportRequest(
        .write, volume: VolumeID(1), offset: 0, length: 4096, buffer: buffer.pointer(toSector: 0),
        token: 1),
      ExportRequest(.flush, volume: VolumeID(1), offset: 0, length: 0, buffer: nil, token: 2),
    ] {
      #expect(server.submit(request))
      server.settle()
    }
    server.answered = { _ in }
    try #require(errors == [nil, nil])
  }

  /// The power goes; each of the devices in turn comes back as it was. With all as they are the
  /// pool opens.
  private static func expectRefusal(
    of server: SimulatedServer, withOld old: [SimulatedDevice.State],
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    var media = server.media()
    media.cutPower(UniformCrash.allAbsent)
    for index in media.devices.indices {
      let copy = media.fork()
      copy.devices[index].restore(old[index])
      var refusal: PoolOpeningError?
      do { _ = try SimulatedServer(copy, seed: 3) } catch { refusal = error }
      guard case .staleMember(let name, _, _) = refusal else {
        Issue.record(
          "disk \(index): \(refusal.map(String.init) ?? "opened")",
          sourceLocation: location)
        continue
      }
      #expect(name == media.devices[index].name, sourceLocation: location)
    }
    _ = try SimulatedServer(media, seed: 4)
  }
}
