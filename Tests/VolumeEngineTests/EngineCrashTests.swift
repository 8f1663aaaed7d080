import BlockIO
import CrashExploration
import DiskFormat
import DiskSimulation
import PoolInspection
import StorageUnits
import Testing
import VolumeEngine

/// The whole engine on devices that forget: at every I/O of random histories the power is cut or
/// the process killed, and the pool is opened again.
///
/// After each crash: the image that recovery starts from agrees with a recount; every sector holds
/// its last flushed value or a later issued one (after a kill, every answered one); volumes whose
/// creation was answered are there and those deleted are not; recovering once more, after a crash
/// of the recovery too, gives the same; and a pool that is stopped is without any finding.
@Suite struct EngineCrashTests {
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func noCrashLosesWhatWasPromised(seed: UInt64) throws {
    var options = SimulatedMedia.Options()
    if seed % 3 == 0 { options.deviceBytes = [36 << 20] }
    if seed % 3 == 2 { options.logicalBlockBytes = 4096 }
    if seed % 2 == 0 { options.journalBlocks = 20 }
    try explore(seed: seed, options, steps: 220, crashEvery: 1)
  }

  /// A crash tears the newest superblock of one member; the start after it is interrupted at each
  /// of its I/Os in turn. The member must never be taken for an old copy.
  @Test func aTornSuperblockAndACrashOfTheNextStartDoNotLoseAMember() throws {
    // A start, so that both slots have been written.
    let first = try SimulatedServer(try SimulatedMedia.create(SimulatedMedia.Options()), seed: 1)
    var media = first.media()
    media.cutPower(UniformCrash.allAbsent)
    let newest = try #require(PoolInspector.inspect(devices: media.devices).superblock?.sequence)
    for offset in FormatConstants.superblockOffsets[Int(newest % 2)] {
      media.devices[1].rot(at: DeviceByteOffset(offset + 100), bit: 0)
    }
    var isThrough = false
    var limit = 0
    while !isThrough {
      for seed in 0..<6 as Range<UInt64> {
        var copy = media.fork()
        do { _ = try SimulatedServer(copy, seed: 1, crashAfter: limit) } catch {}
        isThrough = !copy.devices[0].crashPoint.isReached
        if seed == 0 {
          copy.cutPower(UniformCrash.allWhole)
        } else {
          copy.cutPower(SeededCrash(seed: seed << 20 | UInt64(limit)))
        }
        #expect(throws: Never.self, "seed \(seed), interrupted after \(limit)") {
          _ = try SimulatedServer(copy, seed: 2)
        }
      }
      limit += 1
    }
    #expect(limit > 10)
  }

  // MARK: The harness itself

  /// A flush that makes nothing durable must be noticed, else the tests above prove nothing.
  @Test func aDeviceThatLiesAboutFlushingIsNoticed() throws {
    let problems = try exploreDamaged { server in
      server.disks.devices[0].inject(
        DeviceFault(.lyingFlush, on: .flush, number: 1, isForGood: true))
    }
    #expect(!problems.isEmpty)
  }

  @Test func aDeviceThatLosesWritesIsNoticed() throws {
    let problems = try exploreDamaged { server in
      for number in stride(from: 3, to: 300, by: 9) {
        server.disks.devices[0].inject(DeviceFault(.lostWrite, on: .write, number: number))
      }
    }
    #expect(!problems.isEmpty)
  }

  /// What a history finds on devices that `damage` has made unreliable.
  private func exploreDamaged(_ damage: (SimulatedServer) -> Void) throws -> [String] {
    let server = try SimulatedServer(try SimulatedMedia.create(SimulatedMedia.Options()), seed: 1)
    damage(server)
    let history = RandomHistory(server, CrashExpectation(), seed: 1)
    var events: UInt64 = 0
    var problems: [String] = []
    server.atEvent = {
      events += 1
      guard problems.isEmpty else { return }
      problems += Self.crash(server, history.session.expectation, seed: events)
    }
    for _ in 0..<300 where problems.isEmpty && history.problems.isEmpty { history.step() }
    return problems + history.problems
  }

  private func explore(
    seed: UInt64, _ options: SimulatedMedia.Options, steps: Int, crashEvery: UInt64
  ) throws {
    let server = try SimulatedServer(try SimulatedMedia.create(options), seed: seed)
    let history = RandomHistory(server, CrashExpectation(), seed: seed)
    var events: UInt64 = 0
    var problems: [String] = []
    server.atEvent = {
      events += 1
      guard problems.isEmpty, events % crashEvery == 0 else { return }
      let expectation = history.session.expectation
      let found = Self.crash(server, expectation, seed: seed << 32 | events)
      problems += found.map { "seed \(seed), event \(events): \($0)" }
    }
    for _ in 0..<steps where problems.isEmpty && history.problems.isEmpty { history.step() }
    server.atEvent = {}
    #expect(problems.isEmpty)
    #expect(history.problems.isEmpty, "seed \(seed), event \(events)")
    #expect(server.disks.overlappingWrites == 0)
    #expect(server.disks.changedBuffers == 0)
    guard problems.isEmpty, history.problems.isEmpty else { return }
    history.settle()
    #expect(server.stop())
    #expect(server.media().inspect(isClosed: true) == [])
  }

  // MARK: One crash

  /// Crashes copies of the server's media, by power and by kill, and says what is wrong then.
  private static func crash(
    _ server: SimulatedServer, _ expectation: CrashExpectation, seed: UInt64
  ) -> [String] {
    var cut = server.media()
    cut.cutPower(SeededCrash(seed: seed))
    let killed = server.media()
    killed.kill(seed: seed)
    return recover(cut, expectation, after: .powerCut, seed: seed).map { "power cut: \($0)" }
      + recover(killed, expectation, after: .processDeath, seed: seed).map { "kill: \($0)" }
  }

  private static func recover(
    _ media: SimulatedMedia, _ expectation: CrashExpectation,
    after ending: ReferenceModel.Ending, seed: UInt64
  ) -> [String] {
    var media = media
    var expectation = expectation
    var random = SeededRandom(seed: seed)
    let image = media.inspect()
    if !image.isEmpty { return image.map { "before recovery: \($0)" } }
    if random.oneIn(3), let problem = crashRecovery(of: &media, ending, &random) {
      return [problem]
    }
    do {
      let server = try SimulatedServer(media, seed: seed)
      let problems = expectation.compare(with: server, after: ending)
      guard problems.isEmpty else { return problems }
      if random.oneIn(4) { return goOn(server, expectation, &random) }
      var again = server.media()
      again.cutPower(UniformCrash.allAbsent)
      let second = try SimulatedServer(again, seed: seed + 1)
      return expectation.compare(with: second, after: .powerCut).map { "second: \($0)" }
    } catch { return ["cannot be opened: \(error)"] }
  }

  /// A start that is interrupted itself, after some I/O, in the way that keeps the tail or not.
  private static func crashRecovery(
    of media: inout SimulatedMedia, _ ending: ReferenceModel.Ending, _ random: inout SeededRandom
  ) -> String? {
    do {
      _ = try SimulatedServer(
        media, seed: random.next(), crashAfter: random.below(random.oneIn(2) ? 200 : 40))
      // It got through: the tail is new, as after any start.
      return nil
    } catch {
      guard media.devices[0].crashPoint.isReached else { return "interrupted start: \(error)" }
    }
    if ending == .powerCut {
      media.cutPower(SeededCrash(seed: random.next()))
    } else {
      media.kill(seed: random.next())
    }
    return nil
  }

  /// The recovered pool is used, stopped and recounted.
  private static func goOn(
    _ server: SimulatedServer, _ expectation: CrashExpectation, _ random: inout SeededRandom
  ) -> [String] {
    let history = RandomHistory(server, expectation, seed: random.next())
    for _ in 0..<20 { history.step() }
    history.settle()
    guard history.problems.isEmpty else { return history.problems.map { "afterwards: \($0)" } }
    guard server.stop() else { return ["the stop failed"] }
    return server.media().inspect(isClosed: true).map { "after a stop: \($0)" }
  }
}
