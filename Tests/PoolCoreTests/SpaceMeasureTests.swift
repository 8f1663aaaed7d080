import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// What deleting volumes and snapshots together would free, over random version trees.
@Suite struct SpaceMeasureTests {
  typealias History = SharedTreesTests.History

  /// Everything that a map reaches.
  private struct Reached: MapVisitor {
    var nodes: Set<NodePointer> = []
    var extents: Set<PoolExtent> = []

    mutating func enters(_ node: MapNode) -> Bool {
      var pointer = node.pointer
      pointer.birth = .zero
      nodes.insert(pointer)
      return true
    }

    mutating func visit(_ extent: VirtualExtent, _ entry: MapEntry, base: MapEntry) -> Bool {
      for layer in [entry.upper, entry.lower] where !layer.isNone {
        extents.insert(layer.address.extent)
      }
      return true
    }
  }

  private static func walk<Visitor: MapVisitor>(
    _ test: TestPool, _ slot: VolumeSlot, nodesAtMost: Int, _ visitor: inout Visitor,
    between: (inout Visitor) -> Void = { _ in }
  ) {
    let end = VirtualExtent(index: ByteCount(test.pool.sizeBytes(of: slot)).extentsRoundingUp)
    var position = MapPosition.start
    var nodes = 0
    while true {
      switch test.pool.walk(
        slot, from: position, to: end, nodesAtMost: nodesAtMost, nodes: &nodes, &visitor)
      {
      case .done: return
      case .paused(let at):
        position = at
        between(&visitor)
      case .missing(let load, let at):
        test.supply(load)
        position = at
      }
    }
  }

  private static func measure(
    _ test: TestPool, _ slots: [VolumeSlot], nodesAtMost: Int
  ) -> SpaceMeasure {
    var measure = SpaceMeasure()
    func judge(_ measure: inout SpaceMeasure) {
      while let load = measure.judgeExtents(in: test.pool) { test.supply(load) }
    }
    for slot in slots {
      walk(test, slot, nodesAtMost: nodesAtMost, &measure, between: judge)
      judge(&measure)
    }
    return measure
  }

  /// What the given ones reach and no other.
  private static func expected(_ test: TestPool, _ slots: [VolumeSlot]) -> Reached {
    var own = Reached()
    var others = Reached()
    for slot in everything(test.pool) {
      if slots.contains(slot) {
        walk(test, slot, nodesAtMost: .max, &own)
      } else {
        walk(test, slot, nodesAtMost: .max, &others)
      }
    }
    own.nodes.subtract(others.nodes)
    own.extents.subtract(others.extents)
    return own
  }

  /// What is in the trash holds its space as well.
  private static func everything(_ pool: Pool) -> [VolumeSlot] {
    pool.volumeIDs.compactMap { pool.volume($0) }
  }

  @Test(arguments: 51...56 as ClosedRange<UInt64>)
  func itIsWhatNothingElseReaches(seed: UInt64) throws {
    let history = History(seed: seed)
    var largest = 0
    for turn in 0..<12 {
      for _ in 0..<120 { try history.step() }
      // What a deleted tree still names is held by it, and by no volume.
      while history.test.drop() {}
      if turn % 3 > 0 { try history.checkpoint(busy: false) }
      let slots = history.pool.volumeSlots.shuffled(using: &history.random)
      for count in Set([1, 2, slots.count]) {
        let chosen = Array(slots.prefix(count))
        let measure = Self.measure(history.test, chosen, nodesAtMost: 1 + turn % 4)
        let truth = Self.expected(history.test, chosen)
        let comment: Comment = "seed \(seed), turn \(turn), \(count) of \(slots.count)"
        #expect(measure.freedExtents == UInt64(truth.extents.count), comment)
        #expect(measure.freedNodes == UInt64(truth.nodes.count), comment)
        largest = max(largest, slots.count)
      }
      // One alone holds no more than it names, and all together hold everything.
      let alone = slots.map { Self.measure(history.test, [$0], nodesAtMost: 8).freedExtents }
      let all = Self.measure(history.test, slots, nodesAtMost: 8).freedExtents
      #expect(alone.reduce(0, +) <= all)
      for (slot, own) in zip(slots, alone) {
        #expect(own <= history.pool.record(of: slot).allocatedExtents)
      }
    }
    #expect(largest > 2, "histories without sharing show nothing")
  }

  /// The deletion frees what was said, and the parts of the pool's space add up before and after.
  @Test(arguments: 61...64 as ClosedRange<UInt64>)
  func deletingFreesWhatWasSaid(seed: UInt64) throws {
    let history = History(seed: seed)
    for _ in 0..<10 {
      for _ in 0..<100 { try history.step() }
      while history.test.drop() {}
      try settle(history)
      let before = history.pool.dataUsage
      let all = Self.measure(
        history.test, Self.everything(history.pool), nodesAtMost: 8)
      #expect(before.named == all.freedDataBytes, "what maps name is all that is named")
      guard
        let slot = history.pool.volumeSlots.filter(history.mayDelete).randomElement(
          using: &history.random), history.pool.volumeCount > 1
      else { continue }
      let measure = Self.measure(history.test, [slot], nodesAtMost: 3)
      try history.delete(slot)
      while history.test.drop() {}
      try settle(history)
      let after = history.pool.dataUsage
      #expect(before.named - after.named == measure.freedDataBytes, "seed \(seed)")
    }
  }

  /// Nothing is on its way any more.
  private func settle(_ history: History) throws {
    for _ in 0..<3 {
      try history.checkpoint(busy: false)
      history.test.releaseFreed()
    }
  }
}
