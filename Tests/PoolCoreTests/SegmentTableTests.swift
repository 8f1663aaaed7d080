import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

@Suite struct SegmentTableTests {
  private func place(_ device: UInt16, _ block: UInt64) -> DevicePlace {
    DevicePlace(device: DeviceIndex(index: device), block: block)
  }

  private func table() -> SegmentTable {
    SegmentTable(
      shift: 5,
      entries: [
        SegmentEntry(place: place(0, 512)), SegmentEntry(place: place(0, 544)),
        SegmentEntry(place: place(0, 576)), SegmentEntry(place: place(1, 512)),
        SegmentEntry(place: place(1, 544)),
      ])
  }

  @Test func anAddressLiesInItsSegmentsPlace() {
    let table = table()
    #expect(table.place(of: PoolAddress(block: 0)) == place(0, 512))
    #expect(table.place(of: PoolAddress(block: 63)) == place(0, 575))
    #expect(table.place(of: PoolAddress(block: 3 * 32 + 5)) == place(1, 517))
    #expect(table.secondPlace(of: PoolAddress(block: 40)) == nil)
  }

  @Test func aPartnerLendsItsPlaceAndHasNone() {
    let table = table()
    table.setClass(0, .node, partner: 4)
    #expect(table.place(of: PoolAddress(block: 3)) == place(0, 515))
    #expect(table.secondPlace(of: PoolAddress(block: 3)) == place(1, 547))
    #expect(table.entries[4].segmentClass == .lent)
    #expect(table.entries[4].place == nil)
    #expect(table.freeByDevice[1] == [3])
  }

  @Test func segmentZeroIsNeverOffered() {
    let table = table()
    #expect(table.isFirstSegmentFree)
    #expect(table.freeCount == 4)
    #expect(table.freeByDevice[0] == [2, 1])
    table.setClass(0, .node, partner: nil)
    #expect(!table.isFirstSegmentFree)
    #expect(table.freeCount == 4)
  }

  @Test func freeSegmentsPairUpAndTheRestStandsAlone() {
    let table = table()
    #expect(table.possibleNodeSegments == 2)
    table.setClass(3, .data, partner: nil)
    #expect(table.possibleNodeSegments == 2)
    table.setClass(4, .data, partner: nil)
    #expect(table.possibleNodeSegments == 2)
    table.setClass(3, .free, partner: nil)
    table.setClass(1, .data, partner: nil)
    #expect(table.possibleNodeSegments == 1)
  }

  @Test func anImageShowsTheLinesOfItsCut() {
    let table = table()
    table.needsEveryPage()
    table.beginFreezing()
    table.setClass(1, .data, partner: nil)
    #expect(table.imageEntry(1).segmentClass == .free)
    #expect(table.entries[1].segmentClass == .data)
    #expect(table.takeDirtyPages() == [0])
    // What the image does not have is dirty still.
    #expect(table.dirtyPages == [0])
    table.endFreezing()
    #expect(table.imageEntry(1).segmentClass == .data)
  }
}
