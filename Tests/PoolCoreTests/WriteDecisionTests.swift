import DiskFormat
import PoolCore
import StorageUnits
import Testing

/// Every entry of five blocks, plain and packed, own and shared, under every write, discard and
/// provision of five blocks.
@Suite struct WriteDecisionTests {
  static let width: UInt16 = 31
  static let shareEpoch = ShareEpoch(5)
  static let poolEpoch = ShareEpoch(9)
  static let fresh = PoolAddress(block: 0x3000)

  struct Case {
    var entry: MapEntry
    var mask: BlockMask
  }

  private static func layer(_ mask: UInt16, at block: UInt64, packed: Bool, own: Bool) -> Layer {
    if mask == 0 { return .none }
    return Layer(
      address: PoolAddress(block: packed ? block + 4 : block), mask: BlockMask(bits: mask),
      flags: packed ? 2 : 0, birth: ShareEpoch(own ? 6 : 3))
  }

  private func forEachCase(_ body: (Case) throws -> Void) throws {
    for upper in 0...Self.width {
      for lower in 0...Self.width where upper & lower == 0 && (upper != 0 || lower == 0) {
        for kind in 0..<8 {
          if upper == 0 && kind & 5 != 0 || lower == 0 && kind & 2 != 0 { continue }
          let entry = MapEntry(
            upper: Self.layer(upper, at: 0x1000, packed: kind & 1 != 0, own: kind & 4 != 0),
            lower: Self.layer(lower, at: 0x2000, packed: kind & 2 != 0, own: false))
          for mask in 1...Self.width {
            try body(Case(entry: entry, mask: BlockMask(bits: mask)))
          }
        }
      }
    }
  }

  /// Where each of the five blocks comes from.
  private func sources(_ entry: MapEntry) -> [PoolAddress?] {
    (0..<5).map { block in
      for layer in [entry.upper, entry.lower] where layer.mask.contains(block) {
        return layer.address(ofBlock: block)
      }
      return nil
    }
  }

  @Test func aWriteChangesItsBlocksAlone() throws {
    try forEachCase { one in
      let decision = WriteDecision(
        writing: one.mask, to: one.entry, shareEpoch: Self.shareEpoch)
      let change: EntryChange
      var copied = BlockMask.none
      let target: PoolAddress
      switch decision {
      case .inPlace(let address):
        target = address
        change = .wroteInPlace(extent: address, mask: one.mask)
      case .fresh(let copying):
        target = Self.fresh
        copied = copying
        change = .wroteFresh(extent: Self.fresh, written: one.mask, copied: copying)
      }
      let new = one.entry.applying(
        change, shareEpoch: Self.shareEpoch, poolEpoch: Self.poolEpoch)
      try new.validate()
      let before = sources(one.entry)
      let after = sources(new)
      var isRight = true
      for block in 0..<5 {
        let moved = one.mask.contains(block) || copied.contains(block)
        let expected = moved ? target.advanced(byBlocks: block) : before[block]
        isRight = isRight && after[block] == expected
      }
      #expect(isRight, "\(one) \(decision) \(new)")
      #expect(new.upper.isWritable(shareEpoch: Self.shareEpoch), "\(one)")
    }
  }

  @Test func onlyAThirdLayerOrAPackedOneIsMerged() throws {
    try forEachCase { one in
      let decision = WriteDecision(
        writing: one.mask, to: one.entry, shareEpoch: Self.shareEpoch)
      let upper = one.entry.upper.mask - one.mask
      let lower = one.entry.lower.mask - one.mask
      let losesEasily = one.entry.canLose(one.mask)
      let isOwn = one.entry.upper.isWritable(shareEpoch: Self.shareEpoch)
      if isOwn && losesEasily {
        #expect(decision == .inPlace(one.entry.upper.address), "\(one)")
      } else if losesEasily && (upper.isEmpty || lower.isEmpty) {
        #expect(decision == .fresh(copying: .none), "\(one)")
      } else if losesEasily && upper.count < 4 {
        #expect(decision == .fresh(copying: upper), "\(one)")
      } else if losesEasily {
        #expect(decision == .fresh(copying: upper | lower), "\(one)")
      } else {
        #expect(!isOwn || decision == .fresh(copying: upper | lower), "\(one)")
      }
    }
  }

  @Test func aDiscardClearsItsBlocksAlone() throws {
    try forEachCase { one in
      var entry = one.entry
      if !entry.canLose(one.mask) {
        // The way around it: all is merged first.
        entry = entry.applying(
          .wroteFresh(extent: Self.fresh, written: .none, copied: entry.mask),
          shareEpoch: Self.shareEpoch, poolEpoch: Self.poolEpoch)
        #expect(entry.canLose(one.mask), "\(one)")
      }
      let new = entry.applying(
        .cleared(mask: one.mask, keepsProvision: false), shareEpoch: Self.shareEpoch,
        poolEpoch: Self.poolEpoch)
      try new.validate()
      let before = sources(entry)
      let expected = (0..<5).map { one.mask.contains($0) ? nil : before[$0] }
      #expect(sources(new) == expected, "\(one)")
      #expect(new.isNone == (one.entry.mask - one.mask).isEmpty, "\(one)")
    }
  }

  @Test func aProvisionHoldsSpaceThatLaterWritesUse() throws {
    try forEachCase { one in
      guard one.entry.canLose(one.mask) else { return }
      let isOwn = one.entry.upper.isWritable(shareEpoch: Self.shareEpoch)
      let left = (one.entry.upper.mask - one.mask, one.entry.lower.mask - one.mask)
      // A third layer would be stacked: the engine merges first.
      if !isOwn && !left.0.isEmpty && !left.1.isEmpty { return }
      let new = one.entry.applying(
        .provisioned(mask: one.mask, freshExtent: isOwn ? nil : Self.fresh),
        shareEpoch: Self.shareEpoch, poolEpoch: Self.poolEpoch)
      try new.validate()
      #expect(new.upper.isProvisioned, "\(one)")
      #expect(!new.lower.isProvisioned, "\(one)")
      #expect(!new.mask.intersects(one.mask), "\(one)")
      let write = WriteDecision(writing: one.mask, to: new, shareEpoch: Self.shareEpoch)
      #expect(write == .inPlace(new.upper.address), "\(one)")
      // It stays until the last block goes.
      let cleared = new.applying(
        .cleared(mask: .all, keepsProvision: false), shareEpoch: Self.shareEpoch,
        poolEpoch: Self.poolEpoch)
      #expect(cleared.isNone, "\(one)")
      let kept = new.applying(
        .cleared(mask: .all, keepsProvision: true), shareEpoch: Self.shareEpoch,
        poolEpoch: Self.poolEpoch)
      #expect(kept.upper.isProvisioned && kept.mask.isEmpty, "\(one)")
    }
  }

  @Test func twoWritesOfOneDecisionShareTheFreshExtent() {
    let old = MapEntry(
      upper: Self.layer(0b00011, at: 0x1000, packed: false, own: false), lower: .none)
    let first = EntryChange.wroteFresh(
      extent: Self.fresh, written: BlockMask(bits: 0b00001), copied: .none)
    let second = EntryChange.wroteFresh(
      extent: Self.fresh, written: BlockMask(bits: 0b00110), copied: .none)
    var results: Set<MapEntry> = []
    for order in [[first, second], [second, first]] {
      var entry = old
      for change in order {
        entry = entry.applying(change, shareEpoch: Self.shareEpoch, poolEpoch: Self.poolEpoch)
      }
      results.insert(entry)
    }
    #expect(results.count == 1)
    #expect(results.first?.upper.mask == BlockMask(bits: 0b00111))
    #expect(results.first?.lower == Layer.none)
  }
}
