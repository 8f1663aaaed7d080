import BlockExport
import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import VolumeEngine

extension ExplorationFamily {
  /// A device comes back with what it held before: it must be refused.
  static let oldDevice: ExplorationFamily = {
    var family = ExplorationFamily(
      "old-device", "a device comes back old", preparation: twoVolumes,
      places: [
        HistoryStep.choices(
          [
            WriteOperation(first, 8..<16), CreateVolumeOperation(sizeBytes: 8 << 10),
            // In place: no record tells of them.
            WriteOperation(first, 0..<8), WriteOperation(second, 0..<8),
          ], [.settled]),
        HistoryStep.choices([FlushOperation(first), CheckpointOperation()]),
      ])
    family.needsTwoDevices = true
    family.aftermath = Aftermath("a device comes back old") { comeBackOld($0) }
    family.situations = [Situation("a device comes back old") { _ in false }]
    return family
  }()

  /// Everything that was written is durable, but one device is as it was before the last start, or
  /// before the last operation. It is to be refused where anything says that it is old: a
  /// superblock two ahead of its own, or one ahead which a journal block names. A crash between the
  /// members leaves one that is one behind: such a one may be taken, if nothing that was flushed is
  /// missing then. (An old device whose superblock is the newest cannot be told from the true one.)
  private static func comeBackOld(
    _ moment: AftermathMoment
  ) -> (isReached: Bool, problems: [String]) {
    var isReached = false
    for position in moment.before.devices.indices {
      for old in [moment.before, moment.earlier] {
        var media = moment.server.media()
        var earlier = old.fork()
        media.cutPower(UniformCrash.allWhole)
        earlier.cutPower(UniformCrash.allWhole)
        let own = superblockSequence(earlier.devices[position])
        let others = media.devices.indices.filter { $0 != position }
        let newest = others.map { superblockSequence(media.devices[$0]) }.max() ?? 0
        let named = others.map { namedSuperblock(media.devices[$0], moment.server, $0) }.max() ?? 0
        guard newest > own else { continue }
        let mustRefuse = newest > own + 1 || named > own
        media.devices[position] = earlier.devices[position]
        if mustRefuse { isReached = true }
        do {
          let server = try SimulatedServer(media, seed: 78, settings: moment.settings)
          if mustRefuse { return (true, ["device \(position) came back old and was taken"]) }
          var expectation = moment.session.expectation
          let problems = expectation.compare(with: server, after: .powerCut)
          if !problems.isEmpty { return (true, problems) }
        } catch {
          guard case .staleMember = error else {
            return (true, ["an old device was refused as: \(error)"])
          }
        }
      }
    }
    let problems = moment.server.disks.inFlight.isEmpty ? comeBackAfterStop(moment) : []
    return (isReached, problems)
  }

  /// Another server overwrites something in place and stops: a device as it was when that server
  /// had started is refused.
  private static func comeBackAfterStop(_ moment: AftermathMoment) -> [String] {
    var media = moment.server.media()
    media.cutPower(UniformCrash.allWhole)
    do {
      let server = try SimulatedServer(media, seed: 79, settings: moment.settings)
      var old = server.media()
      old.cutPower(UniformCrash.allWhole)
      let session = HostSession(server, CrashExpectation())
      let buffer = RequestBuffer(sectors: 0..<8)
      _ = unsafe buffer.memory(of: 0..<8).initializeMemory(as: UInt8.self, repeating: 7)
      session.submit(.write, [], first, sectors: 0..<8, buffer: buffer) { _, _ in }
      server.settle()
      guard session.problems.isEmpty, server.stop() else { return ["the server does not stop"] }
      for position in media.devices.indices {
        var mixed = server.media()
        mixed.devices[position] = old.devices[position].fork()
        guard (try? SimulatedServer(mixed, seed: 80, settings: moment.settings)) == nil else {
          return ["device \(position) came back as it was before a stop, and was taken"]
        }
      }
      return []
    } catch { return ["cannot be opened: \(error)"] }
  }

  /// The newest superblock that a block of the journal on a device names; 0 if there is none.
  private static func namedSuperblock(
    _ device: SimulatedDevice, _ server: SimulatedServer, _ position: Int
  ) -> UInt64 {
    let stream = server.pool.stream
    var named: UInt64 = 0
    for place in [stream.place, stream.secondPlace].compactMap({ $0 })
    where place.device == server.indices[position] {
      for block in 0..<UInt64(stream.blockCount) {
        var bytes = device.contents(at: place.advanced(byBlocks: block).byteOffset, count: 4096)
        unsafe bytes.withUnsafeMutableBytes {
          guard let base = $0.baseAddress else { return }
          let header = try? JournalBlockHeader.decode(unsafe NodeImage(viewing: base))
          named = max(named, header?.superblockSequence ?? 0)
        }
      }
    }
    return named
  }

  /// The newest superblock of a device alone; 0 if there is none.
  private static func superblockSequence(_ device: SimulatedDevice) -> UInt64 {
    PoolInspector.inspect(devices: [device]).superblock?.sequence ?? 0
  }
}
