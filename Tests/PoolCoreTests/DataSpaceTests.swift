import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Two data segments of 128 extents (segments 1 and 2).
@Suite struct DataSpaceTests {
  @safe final class Page {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
    let image: NodeImage
    init() {
      unsafe image = NodeImage(viewing: memory)
      image.clear()
    }
    deinit { unsafe memory.deallocate() }
  }

  let table: SegmentTable
  let space: DataSpace

  init() {
    table = SegmentTable(
      shift: 11,
      entries: (0..<4).map {
        SegmentEntry(
          place: DevicePlace(device: DeviceIndex(index: 0), block: UInt64($0 + 1) << 11))
      })
    space = DataSpace(table: table)
    for segment in 1...2 {
      table.setClass(segment, .data, partner: nil)
      space.add(segment)
    }
  }

  @Test func extentsAreTakenOnceAndInRuns() throws {
    let first = try #require(space.take(from: 1, upTo: 100))
    #expect(first.count == 100)
    #expect(first.first.index == 128)
    let second = try #require(space.take(from: 1, upTo: 100))
    #expect(second.count == 28)
    #expect(second.first.index == 228)
    #expect(space.take(from: 1, upTo: 1) == nil)
    space.makeUsable(PoolExtent(index: 130))
    #expect(try #require(space.take(from: 1, upTo: 5)) == (PoolExtent(index: 130), 1))
    #expect(space.usableCount == 128)
  }

  @Test func theFullestSegmentIsOfferedFirst() throws {
    _ = space.take(from: 2, upTo: 120)
    #expect(space.nextPartlyUsed(except: []) == 2)
    #expect(space.nextPartlyUsed(except: []) == 1)
    #expect(space.nextPartlyUsed(except: []) == nil)
    // A segment that gets extents back is offered again; one that is excepted is not forgotten.
    space.makeUsable(PoolExtent(index: 256))
    #expect(space.nextPartlyUsed(except: [2]) == nil)
    #expect(space.nextPartlyUsed(except: []) == 2)
  }

  @Test func aFreedExtentIsUsableAfterTheImageAndTheQuarantine() throws {
    let page = Page()
    let taken = try #require(space.take(from: 1, upTo: 2)).first
    let other = PoolExtent(index: taken.index + 1)
    space.addCount(taken, 1)
    space.addCount(other, 1)
    space.beginFreezing()
    // After the cut: it belongs to the next image.
    space.addCount(taken, -1)
    var folded = space.fold(1, into: page.image)
    #expect(folded.freed.isEmpty)
    #expect(folded.zero == 126)
    #expect(!folded.isAllZero)
    space.endFreezing()
    #expect(page.image.count(0) == 1)
    #expect(space.hasReleases)

    space.beginFreezing()
    folded = space.fold(1, into: page.image)
    #expect(folded.freed.indices == [0])
    space.endFreezing()
    #expect(!space.hasReleases)
    space.quarantine(folded.freed)
    #expect(space.usableCount(in: 1) == 126)
    space.release(folded.freed)
    #expect(space.usableCount(in: 1) == 127)
  }

  @Test func aSegmentIsLearntFromItsPageLessWhatChangedSince() throws {
    let page = Page()
    page.image.setCount(1, 3)
    page.image.setCount(2, 4)
    var lines = table.entries
    lines[1].countPage = PoolAddress(block: 5)
    lines[1].countChecksum = 1
    lines[1].freeUnits = 126
    let reopened = DataSpace(table: SegmentTable(shift: 11, entries: lines))
    #expect(reopened.usableCount(in: 1) == 126)
    // Without a page everything is free, whatever the line says.
    #expect(reopened.usableCount(in: 2) == 128)
    // A name that was taken away and one that was given since: neither extent may be taken.
    reopened.addCount(PoolExtent(index: 128 + 3), -1)
    reopened.addCount(PoolExtent(index: 128 + 9), 1)
    var freed = FreedExtents(segment: 1)
    freed.bits[0] = 1 << 10
    reopened.quarantine(freed)
    reopened.learn(1, from: page.image)
    #expect(reopened.usableCount(in: 1) == 124)
    var seen: Set<UInt64> = []
    while let (first, count) = reopened.take(from: 1, upTo: 16) {
      for i in 0..<UInt64(count) { seen.insert(first.index + i) }
    }
    #expect(seen.count == 124)
    #expect(seen.isDisjoint(with: [131, 132, 137, 138]))
  }

  @Test func stickyCountsStay() {
    let page = Page()
    page.image.setCount(FormatConstants.stickyCount, 0)
    space.addCount(PoolExtent(index: 128), -1)
    space.beginFreezing()
    let folded = space.fold(1, into: page.image)
    #expect(page.image.count(0) == FormatConstants.stickyCount)
    #expect(folded.freed.isEmpty)
  }
}
