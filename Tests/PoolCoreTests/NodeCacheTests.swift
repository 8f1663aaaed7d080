import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

@Suite struct NodeCacheTests {
  let cache = NodeCache(capacityBytes: 0)
  let page = DataSpaceTests.Page()

  private func load(_ block: UInt64) -> NodeLoad {
    NodeLoad(
      address: PoolAddress(block: block), checksum: UInt32(block), type: .map, level: 0,
      key: block, owner: 1)
  }

  private func add(_ block: UInt64) {
    page.image.store64(block, 64)
    cache.add(load(block), birth: ShareEpoch(1), from: page.image)
  }

  @Test func cleanNodesAreEvictedAndDirtyOnesNever() {
    // The capacity is at least 64, and memory comes in chunks of 256 slots.
    let dirty = (0..<50).map { i in
      cache.make(
        generation: 1, level: 0, key: UInt64(i), owner: 1, birth: ShareEpoch(1))
    }
    let pointers = dirty.map { cache.memoryPointer($0) }
    for block in 1...2000 as ClosedRange<UInt64> { add(block) }
    #expect(cache.usedCount <= 256)
    #expect(cache.slotCount == 256)
    for (slot, pointer) in zip(dirty, pointers) { #expect(cache.find(pointer) == slot) }
    let kept = (1...2000 as ClosedRange<UInt64>).filter {
      cache.find(PoolAddress(block: $0)) >= 0
    }
    #expect(kept.count == 206)
    for block in kept {
      let slot = cache.find(PoolAddress(block: block))
      #expect(cache.image(slot).load64(64) == block)
      #expect(cache[slot].checksum == UInt32(block))
    }
  }

  @Test func memoryBeyondTheCapacityIsTakenWhenEverythingIsDirty() {
    for i in 0..<1000 as Range<UInt64> {
      _ = cache.make(generation: 1, level: 0, key: i, owner: 1, birth: ShareEpoch(1))
    }
    #expect(cache.dirtyCount == 1000)
    #expect(cache.slotCount >= 1000)
  }

  @Test func aNodeThatWasWrittenAndEvictedIsStillFoundByItsNumber() {
    let slot = cache.make(generation: 1, level: 0, key: 5, owner: 1, birth: ShareEpoch(3))
    let pointer = cache.memoryPointer(slot)
    #expect(cache.resolved(pointer) == pointer)
    let frozen = cache.freeze(generation: 1)
    #expect(frozen == [Int32(slot)])
    cache.place(slot, at: PoolAddress(block: 77), checksum: 9)
    #expect(cache.find(PoolAddress(block: 77)) == slot)
    cache.checkpointCompleted(frozen)
    cache.forget(PoolAddress(block: 77))
    #expect(cache.find(PoolAddress(block: 77)) == -1)
    #expect(cache.find(pointer) == -1)
    #expect(
      cache.resolved(pointer)
        == NodePointer(address: PoolAddress(block: 77), checksum: 9, birth: ShareEpoch(3)))
    // Loaded again, it is found under both names.
    add(77)
    #expect(cache.find(pointer) == cache.find(PoolAddress(block: 77)))
  }

  @Test func aDiscardedNodesSlotIsFrozenOnceWhenItIsUsedAgain() {
    let first = cache.make(generation: 1, level: 1, key: 1, owner: 1, birth: ShareEpoch(1))
    cache[first].names = 0
    cache.discard(first)
    #expect(cache.currentDirtyCount == 0)
    let second = cache.make(generation: 1, level: 0, key: 2, owner: 1, birth: ShareEpoch(1))
    #expect(second == first)
    #expect(cache.freeze(generation: 1) == [Int32(second)])
    #expect(cache.currentDirtyCount == 0)
    #expect(cache.dirtyCount == 1)
  }

  @Test func leavesAreFrozenBeforeTheirParents() {
    let levels: [UInt8] = [2, 0, 1, 0, 4]
    let slots = levels.map {
      cache.make(generation: 7, level: $0, key: 0, owner: 1, birth: ShareEpoch(1))
    }
    let frozen = cache.freeze(generation: 7).map { cache[Int($0)].level }
    #expect(frozen == [0, 0, 1, 2, 4])
    #expect(Set(slots).count == 5)
  }
}
