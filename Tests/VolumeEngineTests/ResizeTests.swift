import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Volumes that get another size while hosts use them.
@Suite struct ResizeTests {
  private static func resize(
    _ rig: EngineRig, _ volume: VolumeID, _ size: UInt64, shrinks: Bool = true
  ) -> ManagementResult? {
    rig.manage { $0.resizeVolume(volume, to: size, allowsShrink: shrinks, token: $1) }
  }

  private static func snapshot(_ rig: EngineRig, _ volume: VolumeID) throws -> VolumeID {
    let order = SnapshotOrder(
      source: volume, name: "s", uuid: StorageUUID(high: 4, low: 4), createdAt: 1)
    guard case .branched(let ids) = rig.manage({ $0.createSnapshots([order], token: $1) }) else {
      throw ExportError.invalidRequest
    }
    return try #require(ids.first)
  }

  /// Everything that was given up has come back.
  private static func reclaim(_ rig: EngineRig) {
    for _ in 0..<6 {
      rig.clock.advance(milliseconds: 3000)
      rig.settle()
    }
  }

  /// From one leaf to a tree of three levels.
  @Test func aLargerVolumeShowsWhatItHadAndZerosBehind() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: (1 << 20) - 4096, pattern(1, 4096)) == nil)
    for size in [32 << 20, 4 << 30, 1 << 50] as [UInt64] {
      #expect(Self.resize(rig, v, size, shrinks: false) == .done)
      #expect(rig.engine.export(named: "v")?.sizeBytes == size)
      expectZeros(rig.read(v, at: 1 << 20, 65536))
      expectZeros(rig.read(v, at: size - 4096, 4096))
      #expect(rig.write(v, at: size - 8192, pattern(2, 8192)) == nil)
      expectSame(rig.read(v, at: size - 8192, 8192), pattern(2, 8192))
      expectSame(rig.read(v, at: (1 << 20) - 4096, 4096), pattern(1, 4096))
    }
  }

  @Test func aSmallerSizeNeedsItsWordAndMustMakeSense() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 20, blockBytes: 4096)
    #expect(
      Self.resize(rig, v, 4096, shrinks: false)
        == .refused(.wouldCutOff("v", new: 4096, old: 1 << 20)))
    for size in [0, 512, 6 << 10, 64 << 50] as [UInt64] {
      #expect(Self.resize(rig, v, size) == .refused(.invalidSize(size)))
    }
    let s = try Self.snapshot(rig, v)
    #expect(Self.resize(rig, s, 2 << 20) == .refused(.isSnapshot("v@s")))
    #expect(Self.resize(rig, VolumeID(99), 4096) == .refused(.noSuchVolume("99")))
    #expect(rig.engine.export(named: "v")?.sizeBytes == 1 << 20)
    #expect(Self.resize(rig, v, 1 << 20, shrinks: false) == .done, "nothing changes")
  }

  @Test(arguments: [8192, 65536, (1 << 20) + 512, 24 << 20, (168 << 16) + 4096 * 3 + 1024])
  func whatIsCutOffComesBackAndReadsAsZerosLater(size: Int) throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 40)
    let bytes = pattern(1, 1 << 20)
    for i in 0..<30 { #expect(rig.write(v, at: UInt64(i) << 20, bytes) == nil) }
    for far in [1 << 34, 1 << 38] as [UInt64] {
      #expect(rig.write(v, at: far, pattern(2, 200 << 10)) == nil)
    }
    Self.reclaim(rig)
    #expect(Self.resize(rig, v, UInt64(size)) == .done)
    let kept = (size + 4095) / 4096
    #expect(rig.record(v).mappedBlocks == UInt64(kept))
    #expect(rig.record(v).allocatedExtents == UInt64((size + 65535) / 65536))
    Self.reclaim(rig)
    #expect(!rig.pool.hasDoomed)
    let used = rig.pool.usage
    #expect(used.usedBytes - used.metadataBytes < UInt64(size) + 160 << 20)
    #expect(Self.resize(rig, v, 1 << 40) == .done)
    let content = (0..<30).flatMap { _ in bytes }[..<size]
    expectSame(rig.read(v, at: 0, min(size, 1 << 20)), Array(content[..<min(size, 1 << 20)]))
    let around = UInt64(size) & ~4095
    var expected = Array(content[Int(around)...])
    expected += [UInt8](repeating: 0, count: 65536 - expected.count)
    expectSame(rig.read(v, at: around, 65536), expected)
    for far in [29 << 20, 1 << 34, 1 << 38] as [UInt64] { expectZeros(rig.read(v, at: far, 65536)) }
  }

  /// Both share everything at first, also the block in which the new size ends.
  @Test func aSnapshotKeepsWhatIsCutOff() throws {
    let rig = EngineRig()
    let v = rig.createVolume(size: 64 << 20)
    let bytes = pattern(1, 1 << 20)
    for i in 0..<20 { #expect(rig.write(v, at: UInt64(i) << 20, bytes) == nil) }
    let s = try Self.snapshot(rig, v)
    #expect(rig.write(v, at: 12 << 20, pattern(2, 4096)) == nil)
    #expect(Self.resize(rig, v, (12 << 20) + 512) == .done)
    Self.reclaim(rig)
    #expect(Self.resize(rig, v, 64 << 20) == .done)
    expectSame(rig.read(v, at: 12 << 20, 512), Array(pattern(2, 4096)[..<512]))
    expectZeros(rig.read(v, at: (12 << 20) + 512, (1 << 20) - 512))
    for i in 0..<20 { expectSame(rig.read(s, at: UInt64(i) << 20, 1 << 20), bytes) }
    #expect(rig.manage { $0.rollBack(v, to: s, token: $1) } == .done)
    #expect(rig.engine.export(named: "v")?.sizeBytes == 64 << 20)
    expectSame(rig.read(v, at: 19 << 20, 1 << 20), bytes)
    #expect(rig.manage { $0.deleteVolume(s, token: $1) } == .done)
    Self.reclaim(rig)
    #expect(rig.record(v).shareEpoch == .zero, "what was cut off holds nothing any more")
  }

  // write beyond, in flight       shrink
  //                               holds the volume, waits for it
  // write A beyond: held
  // write B before: held
  //                               goes through what lies beyond
  // B is done
  //                               record
  // A: out of range
  @Test func hostsGoOnBeforeTheEndAndAreToldBeyondIt() {
    let rig = EngineRig()
    let v = rig.createVolume(size: 1 << 30)
    for i in 0..<8 { #expect(rig.write(v, at: UInt64(i) << 26, pattern(1, 4096)) == nil) }
    let inFlight = rig.submit(.write, v, at: 512 << 20, bytes: pattern(2, 4096))
    rig.turn()
    let token = rig.beginManagement {
      $0.resizeVolume(v, to: 1 << 20, allowsShrink: true, token: $1)
    }
    let before = rig.submit(.write, v, at: 0, bytes: pattern(3, 4096))
    let beyond = rig.submit(.write, v, at: 2 << 20, bytes: pattern(4, 4096))
    let across = rig.submit(
      .write, v, at: (1 << 20) - 65536, bytes: pattern(5, 128 << 10))
    rig.turn()
    #expect(rig.managementAnswers[token] == nil)
    #expect(rig.inFlight(.write) == 1, "all mutations are held")
    rig.settle()
    #expect(rig.managementAnswers[token] == .done)
    #expect(rig.outcome(inFlight) == nil)
    #expect(rig.outcome(before) == nil)
    #expect(rig.outcome(beyond) == .outOfRange)
    #expect(rig.outcome(across) == .outOfRange)
    expectSame(rig.read(v, at: 0, 4096), pattern(3, 4096))
    for operation in [ExportRequest.Operation.discard, .writeZeroes, .blockStatus] {
      #expect(rig.run(operation, v, at: (1 << 20) - 512, length: 1024) == .outOfRange)
    }
    #expect(rig.run(.read, v, at: 1 << 20, length: 512) == .outOfRange)
  }

  // zeroes up to the end          grow                     host
  // waits for a write in its way
  //                               the end is inside a block no more
  //                                                        writes behind the old end
  // the rest: the host's bytes stay
  @Test(arguments: [[], ExportRequest.Flags.noHole])
  func zeroesThatEndedTheVolumeLeaveWhatIsBehindItsOldEnd(flags: ExportRequest.Flags) {
    let rig = EngineRig()
    let v = rig.createVolume(size: (1 << 20) + 512)
    #expect(rig.write(v, at: 1 << 20, pattern(1, 512)) == nil)
    let write = rig.submit(.write, v, at: 1 << 20, bytes: pattern(2, 512))
    rig.turn()
    let zeroes = rig.submit(.writeZeroes, v, at: 1 << 20, length: 512, flags: flags)
    #expect(rig.inFlight(.write) == 1)
    let token = rig.beginManagement {
      $0.resizeVolume(v, to: 2 << 20, allowsShrink: false, token: $1)
    }
    let behind = rig.submit(.write, v, at: (1 << 20) + 512, bytes: pattern(3, 512))
    rig.settle()
    #expect(rig.managementAnswers[token] == .done)
    for request in [write, zeroes, behind] { #expect(rig.outcome(request) == nil) }
    expectZeros(rig.read(v, at: 1 << 20, 512))
    expectSame(rig.read(v, at: (1 << 20) + 512, 512), pattern(3, 512))
  }

  @Test(arguments: [IOCommand.Operation.read, .write])
  func aFailureAtTheLastExtentLeavesTheVolumeAsItWas(operation: IOCommand.Operation) {
    var options = RigOptions()
    options.segments = [60]
    let rig = EngineRig(options)
    let v = rig.createVolume(size: 1 << 20)
    #expect(rig.write(v, at: 0, pattern(1, 1 << 20)) == nil)
    for (index, device) in rig.disks.devices.enumerated()
    where rig.engine.statistics(of: DeviceIndex(index: UInt16(index))).dataWrites > 0 {
      device.inject(DeviceFault(.error(errno: 5), on: operation, number: 1))
    }
    let token = rig.beginManagement {
      $0.resizeVolume(v, to: 512, allowsShrink: true, token: $1)
    }
    let held = rig.submit(.write, v, at: 0, bytes: pattern(2, 4096))
    rig.settle()
    #expect(rig.managementAnswers[token] == .failed(.inputOutput))
    #expect(rig.isAnswered(held))
    #expect(rig.engine.export(named: "v")?.sizeBytes == 1 << 20)
    expectSame(rig.read(v, at: 4096, 4096), Array(pattern(1, 8192)[4096...]))
    #expect(Self.resize(rig, v, 512) == .done)
  }

  /// Sizes that change while requests are in flight, against a byte array.
  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func randomSizesGiveWhatAByteArrayGives(seed: UInt64) throws {
    var options = RigOptions()
    options.seed = seed
    if seed % 2 == 0 {
      options.bounds = PoolBounds(
        nodeCacheBytes: 40 << 12, dirtyNodeBytes: 30 << 12, countDeltaBytes: 1 << 20)
      options.configuration.bounceExtents = 1
      options.configuration.nodeLoads = 1
      options.configuration.extentsPerStep = 1
      options.segments = [60, 60]
    }
    let rig = EngineRig(options)
    var random = SeededRandom(seed: seed &* 7919)
    var model = [UInt8](repeating: 0, count: (4 << 20) + 1536)
    let v = rig.createVolume(size: UInt64(model.count))
    var kept: (id: VolumeID, bytes: [UInt8])?
    for step in 0..<120 {
      let old = model.count
      let unit = [512, 4096, 65536].randomElement(using: &random) ?? 512
      let new = unit * (1 + random.below((26 << 20) / unit))
      // What is in flight ends before the smaller of both sizes.
      var flights: [(token: UInt64, range: Range<Int>, expected: [UInt8]?)] = []
      let sectors = min(old, new) / 512
      for _ in 0..<random.below(8) {
        let first = random.below(sectors)
        let count = min(sectors - first, [1, 8, 40, 300][random.below(4)])
        let range = first * 512..<(first + count) * 512
        guard !flights.contains(where: { $0.range.overlaps(range) }) else { continue }
        let at = UInt64(range.lowerBound)
        switch random.below(4) {
        case 0:
          let token = rig.submit(.read, v, at: at, length: UInt64(range.count))
          flights.append((token, range, Array(model[range])))
        case 1:
          let token = rig.submit(
            .writeZeroes, v, at: at, length: UInt64(range.count),
            flags: random.oneIn(2) ? .noHole : [])
          model.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
          flights.append((token, range, nil))
        default:
          let bytes = pattern(step * 100 + first, range.count)
          model.replaceSubrange(range, with: bytes)
          flights.append((rig.submit(.write, v, at: at, bytes: bytes), range, nil))
        }
        for _ in 0..<random.below(3) { _ = rig.completeOne() }
      }
      let token = rig.beginManagement {
        $0.resizeVolume(v, to: UInt64(new), allowsShrink: true, token: $1)
      }
      for _ in 0..<random.below(4) { _ = rig.completeOne() }
      rig.settle()
      #expect(rig.managementAnswers[token] == .done, "seed \(seed), step \(step)")
      model = Array(model.prefix(new)) + [UInt8](repeating: 0, count: max(0, new - old))
      for flight in flights {
        #expect(rig.outcome(flight.token) == nil, "seed \(seed), step \(step)")
        if let expected = flight.expected {
          expectSame(
            rig.bytes(flight.token, at: UInt64(flight.range.lowerBound), count: expected.count),
            expected)
        }
        rig.forget(flight.token)
      }
      if random.oneIn(8) {
        if let kept { #expect(rig.manage { $0.deleteVolume(kept.id, token: $1) } == .done) }
        kept = (try Self.snapshot(rig, v), model)
      }
      if random.oneIn(10), let kept {
        #expect(rig.manage { $0.rollBack(v, to: kept.id, token: $1) } == .done)
        model = kept.bytes
      }
      if step % 10 == 9 {
        rig.clock.advance(milliseconds: 2500)
        rig.settle()
        compare(rig, v, model, "seed \(seed), step \(step)")
        if let kept { compare(rig, kept.id, kept.bytes, "snapshot, seed \(seed), step \(step)") }
      }
    }
    #expect(rig.disks.overlappingWrites == 0)
    #expect(rig.engine.isIdle)
  }

  private func compare(_ rig: EngineRig, _ v: VolumeID, _ model: [UInt8], _ comment: Comment) {
    #expect(rig.record(v).sizeBytes == UInt64(model.count), comment)
    for offset in stride(from: 0, to: model.count, by: 1 << 20) {
      let end = min(model.count, offset + 1 << 20)
      let isEqual = rig.read(v, at: UInt64(offset), end - offset) == Array(model[offset..<end])
      #expect(isEqual, "\(comment), offset \(offset)")
    }
  }
}
