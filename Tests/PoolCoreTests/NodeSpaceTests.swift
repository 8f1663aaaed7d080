import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// One node segment of 32 blocks, of which the first two are count images.
@Suite struct NodeSpaceTests {
  let space: NodeSpace

  init() {
    var entry = SegmentEntry(place: DevicePlace(device: DeviceIndex(index: 0), block: 512))
    entry.segmentClass = .node
    space = NodeSpace(table: SegmentTable(shift: 5, entries: [entry]))
    space.add(0, counts: nil)
  }

  private func counts() -> [UInt32] { space.segments[0]?.counts ?? [] }

  @Test func countImagesAreNeverGivenOut() {
    #expect(space.usableCount == 30)
    var taken: [UInt64] = []
    while let address = space.take(after: nil) { taken.append(address.block) }
    #expect(taken == Array(2..<32))
  }

  @Test func onlyANeighbourIsTakenForAGatheredWrite() throws {
    let first = try #require(space.take(after: nil))
    let second = try #require(space.take(after: first))
    #expect(second.block == first.block + 1)
    // Blocks 4 and 6 stay free, 5 is gone.
    let fourth = try #require(space.take(after: nil))
    _ = try #require(space.take(after: fourth))
    space.release(fourth)
    #expect(space.take(after: PoolAddress(block: 5)) == PoolAddress(block: 6))
    #expect(space.take(after: PoolAddress(block: 10)) == nil)
  }

  @Test func changesAfterTheCutAreNotInTheImage() throws {
    let a = try #require(space.take(after: nil))
    let b = try #require(space.take(after: a))
    space.addToImage(a, 1)
    space.addToImage(b, 1)
    space.beginFreezing()
    space.add(a, 1)
    space.add(b, -1)
    #expect(space.count(a) == 2)
    #expect(space.count(b) == 0)
    #expect(counts()[Int(a.block)] == 1)
    #expect(counts()[Int(b.block)] == 1)
    space.imageEncoded(0)
    space.endFreezing()
    #expect(counts()[Int(a.block)] == 2)
    #expect(counts()[Int(b.block)] == 0)
    // The image of this checkpoint still shows `b`: it is free after the next one.
    #expect(space.takeZeroed().isEmpty)
    #expect(space.hasZeroed)
    #expect(space.dirtySegments == [0])
    space.beginFreezing()
    space.imageEncoded(0)
    space.endFreezing()
    #expect(space.takeZeroed() == [b.block])
    space.release(b)
    #expect(!space.hasZeroed)
    #expect(space.usableCount == 29)
  }

  @Test func whatFallsToZeroBetweenEncodingAndDurabilityWaitsForTheNextImage() throws {
    let a = try #require(space.take(after: nil))
    space.addToImage(a, 1)
    space.beginFreezing()
    space.imageEncoded(0)
    space.endFreezing()
    space.add(a, -1)
    #expect(space.takeZeroed().isEmpty)
    #expect(space.hasZeroed)
  }

  @Test func aNodeOfTheCheckpointThatWasGivenUpMeanwhileIsFreedByTheNext() throws {
    space.beginFreezing()
    let a = try #require(space.take(after: nil))
    space.addToImage(a, 1)
    space.addLater(a, -1)
    #expect(space.count(a) == 0)
    space.endFreezing()
    #expect(space.takeZeroed().isEmpty)
    space.beginFreezing()
    space.endFreezing()
    #expect(space.takeZeroed() == [a.block])
  }

  @Test func aSegmentsCountsSayWhatIsUsable() {
    var entry = SegmentEntry(place: DevicePlace(device: DeviceIndex(index: 0), block: 512))
    entry.segmentClass = .node
    let reopened = NodeSpace(table: SegmentTable(shift: 5, entries: [entry]))
    var counts = [UInt32](repeating: 0, count: 32)
    counts[2] = 1
    counts[31] = 7
    reopened.add(0, counts: counts)
    #expect(reopened.usableCount == 28)
    #expect(reopened.take(after: nil) == PoolAddress(block: 3))
    #expect(reopened.zeroCount(0) == 28)
  }
}
