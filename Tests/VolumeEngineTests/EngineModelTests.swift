import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import Testing

@testable import VolumeEngine

/// Random requests with many in flight, completed in random order, against plain byte arrays.
///
/// Requests whose sectors overlap are not in flight together, unless both read: then what each
/// sector holds is known at any time. Blocks and extents overlap all the time.
@Suite struct EngineModelTests {
  private struct InFlight {
    var token: UInt64
    var volume: Int
    var operation: ExportRequest.Operation
    var range: Range<Int>
  }

  /// Where a byte of the model lies in its volume. A wide volume has an island of 64 KiB every
  /// 16 GiB, so that each has leaves of its own and few nodes are in memory.
  private static func place(_ offset: Int, isWide: Bool) -> UInt64 {
    isWide ? UInt64(offset >> 16) << 34 + UInt64(offset & 0xFFFF) : UInt64(offset)
  }

  private func run(
    _ seed: UInt64, isWide: Bool = false, _ change: (inout RigOptions) -> Void
  ) {
    var options = RigOptions()
    options.seed = seed
    change(&options)
    let rig = EngineRig(options)
    var random = SeededRandom(seed: seed &* 977)
    let sizes = isWide ? [6 << 20, 12 << 20] : [(1 << 20) + 512, 24 << 20]
    let volumes = sizes.indices.map {
      rig.createVolume("v\($0)", size: isWide ? 1 << 50 : UInt64(sizes[$0]))
    }
    var models = sizes.map { [UInt8](repeating: 0, count: $0) }
    var flights: [InFlight] = []
    for step in 0..<800 {
      if flights.count < 12, !random.oneIn(3) {
        let which = random.below(volumes.count)
        guard
          let flight = begin(
            rig, &random, which, volumes[which], isWide, &models[which], step,
            flights.filter { $0.volume == which })
        else { continue }
        flights.append(flight)
      } else {
        _ = rig.completeOne()
      }
      rig.clock.advance(nanoseconds: UInt64(random.below(20_000_000)))
      rig.turn()
      flights.removeAll { flight in
        guard rig.isAnswered(flight.token) else { return false }
        finish(rig, flight, models[flight.volume], seed)
        return true
      }
    }
    rig.settle()
    // Near a bound, what is left may be delayed.
    for _ in 0..<1000 where !flights.allSatisfy({ rig.isAnswered($0.token) }) {
      rig.clock.advance(nanoseconds: 1_000_000)
      rig.settle()
    }
    for flight in flights { finish(rig, flight, models[flight.volume], seed) }
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    for which in volumes.indices {
      for offset in stride(from: 0, to: sizes[which], by: 64 << 10) {
        let count = min(64 << 10, sizes[which] - offset)
        let place = Self.place(offset, isWide: isWide)
        let isEqual =
          rig.read(volumes[which], at: place, count)
          == Array(models[which][offset..<offset + count])
        #expect(isEqual, "seed \(seed), volume \(which), offset \(offset)")
      }
    }
    #expect(rig.disks.overlappingWrites == 0)
    #expect(rig.disks.changedBuffers == 0)
    #expect(rig.engine.isIdle)
  }

  /// Begins a random request and does to the model what it will do.
  private func begin(
    _ rig: EngineRig, _ random: inout SeededRandom, _ which: Int, _ volume: VolumeID,
    _ isWide: Bool, _ model: inout [UInt8], _ step: Int, _ others: [InFlight]
  ) -> InFlight? {
    let sectors = model.count / 512
    let first = random.oneIn(4) ? random.below(sectors) : random.below(sectors) / 8 * 8
    var count = [1, 3, 8, 16, 128, 400, 2048][random.below(7)]
    count = min(count, sectors - first)
    if isWide { count = min(count, 128 - first % 128) }
    let range = first * 512..<(first + count) * 512
    let choice = random.below(10)
    let isRead = choice < 3
    let conflicts = others.contains {
      $0.range.overlaps(range) && !(isRead && ($0.operation == .read || $0.operation == .flush))
    }
    if conflicts { return nil }
    let offset = Self.place(range.lowerBound, isWide: isWide)
    let zeros = [UInt8](repeating: 0, count: range.count)
    var flight = InFlight(token: 0, volume: which, operation: .read, range: range)
    switch choice {
    case 0..<3:
      flight.token = rig.submit(.read, volume, at: offset, length: UInt64(range.count))
    case 3..<7:
      let bytes = random.oneIn(5) ? zeros : pattern(step, range.count)
      model.replaceSubrange(range, with: bytes)
      flight.operation = .write
      flight.token = rig.submit(
        .write, volume, at: offset, bytes: bytes,
        flags: random.oneIn(8) ? .forceUnitAccess : [])
    case 7:
      let start = (range.lowerBound + 4095) / 4096 * 4096
      let end =
        range.upperBound == model.count && !isWide
        ? range.upperBound : range.upperBound / 4096 * 4096
      if start < end { model.replaceSubrange(start..<end, with: zeros[..<(end - start)]) }
      flight.operation = .discard
      flight.token = rig.submit(.discard, volume, at: offset, length: UInt64(range.count))
    case 8:
      model.replaceSubrange(range, with: zeros)
      flight.operation = .writeZeroes
      flight.token = rig.submit(
        .writeZeroes, volume, at: offset, length: UInt64(range.count),
        flags: random.oneIn(2) ? .noHole : [])
    default:
      flight.operation = .flush
      flight.range = 0..<0
      flight.token = rig.submit(.flush, volume)
    }
    return flight
  }

  private func finish(_ rig: EngineRig, _ flight: InFlight, _ model: [UInt8], _ seed: UInt64) {
    #expect(rig.outcome(flight.token) == nil, "seed \(seed): \(flight)")
    if flight.operation == .read {
      let bytes = rig.bytes(
        flight.token, at: UInt64(flight.range.lowerBound), count: flight.range.count)
      let isEqual = bytes == Array(model[flight.range])
      #expect(isEqual, "seed \(seed): \(flight)")
    }
    rig.forget(flight.token)
  }

  @Test(arguments: 1...5 as ClosedRange<UInt64>)
  func randomRequestsGiveWhatAByteArrayGives(seed: UInt64) { run(seed) { _ in } }

  /// Little of everything: parts wait for slots, bounce extents, node loads and checkpoints.
  @Test(arguments: 20...24 as ClosedRange<UInt64>)
  func soItIsWithLittleMemoryAndASmallJournal(seed: UInt64) {
    run(seed) { options in
      options.journalBlocks = 24
      options.recordBytes = 8 << 10
      options.bounds = PoolBounds(
        nodeCacheBytes: 40 << 12, dirtyNodeBytes: 20 << 12, countDeltaBytes: 1 << 20)
      options.configuration.bounceExtents = 1
      options.configuration.commandSlots = 256
      options.configuration.nodeLoads = 1
      options.configuration.stepsPerTurn = 3
      options.configuration.extentsPerStep = 2
      options.segments = [60, 60]
    }
  }

  /// Nodes are loaded on demand and evicted, and every bound is reached.
  @Test(arguments: 40...44 as ClosedRange<UInt64>)
  func soItIsOnWideVolumesWithFewNodesInMemory(seed: UInt64) {
    run(seed, isWide: true) { options in
      options.bounds = PoolBounds(
        nodeCacheBytes: 120 << 12, dirtyNodeBytes: 40 << 12, countDeltaBytes: 1 << 20)
      options.configuration.nodeLoads = 2
      options.segments = [60, 60]
    }
  }
}
