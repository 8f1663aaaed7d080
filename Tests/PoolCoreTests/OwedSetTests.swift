import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Random sets against sets of blocks.
@Suite struct OwedSetTests {
  private static let blocks: UInt64 = 100

  private static func range(_ random: inout TestRandom) -> OwedRange {
    let first = UInt64.random(in: 0..<blocks, using: &random)
    return OwedRange(
      volume: VolumeID(UInt64.random(in: 1...3, using: &random)), firstBlock: first,
      blockCount: UInt64.random(in: 1...min(24, blocks - first), using: &random))
  }

  private struct Block: Hashable {
    var volume: VolumeID
    var block: UInt64
  }

  private static func blocks(_ range: OwedRange) -> Set<Block> {
    Set((range.firstBlock..<range.endBlock).map { Block(volume: range.volume, block: $0) })
  }

  /// Sorted, none empty, none that overlap or touch.
  private static func isCanonical(_ set: OwedSet) -> Bool {
    zip(set.ranges, set.ranges.dropFirst()).allSatisfy { a, b in
      a.volume < b.volume || a.volume == b.volume && a.endBlock < b.firstBlock
    } && set.ranges.allSatisfy { $0.blockCount > 0 }
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func aSetIsWhatWasAddedAndNotRemoved(seed: UInt64) {
    var random = TestRandom(state: seed)
    var set = OwedSet()
    var model: Set<Block> = []
    for _ in 0..<400 {
      let range = Self.range(&random)
      #expect(set.intersects(range) == !model.isDisjoint(with: Self.blocks(range)))
      switch UInt64.random(in: 0..<12, using: &random) {
      case 0:
        let hadSome = model.contains { $0.volume == range.volume && $0.block >= range.firstBlock }
        #expect(set.removeAll(of: range.volume, from: range.firstBlock) == hadSome)
        model = model.filter { $0.volume != range.volume || $0.block < range.firstBlock }
      case ..<7:
        let count = set.count(adding: range)
        set.add(range)
        #expect(set.count == count)
        model.formUnion(Self.blocks(range))
      default:
        let count = set.count(removing: range)
        set.remove(range)
        #expect(set.count == count)
        model.subtract(Self.blocks(range))
      }
      #expect(Self.isCanonical(set))
      #expect(Set(set.ranges.flatMap(Self.blocks)) == model)
      for volume in 1...3 as ClosedRange<UInt64> {
        for extent in 0..<7 as Range<UInt64> {
          let mask = set.mask(VolumeID(volume), VirtualExtent(index: extent))
          for block in 0..<16 {
            let here = Block(volume: VolumeID(volume), block: extent * 16 + UInt64(block))
            #expect(mask.contains(block) == model.contains(here))
          }
        }
      }
    }
  }

  @Test func theNextRangeGoesRound() {
    let first = OwedRange(volume: VolumeID(1), firstBlock: 4, blockCount: 4)
    let second = OwedRange(volume: VolumeID(2), firstBlock: 0, blockCount: 1)
    let set = OwedSet([first, second])
    #expect(set.next(VolumeID(0), endingBehind: 0) == first)
    #expect(set.next(VolumeID(1), endingBehind: 7) == first)
    #expect(set.next(VolumeID(1), endingBehind: 8) == second)
    #expect(set.next(VolumeID(2), endingBehind: 1) == first)
    #expect(OwedSet().next(VolumeID(1), endingBehind: 0) == nil)
  }
}
