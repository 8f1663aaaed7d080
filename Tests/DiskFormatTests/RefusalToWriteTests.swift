import DiskFormat
import StorageUnits
import Testing

/// A value that a reader would refuse is never written: the mistake is the writer's, and it stops.
@Suite struct RefusalToWriteTests {
  @Test func aSuperblockWithoutItsOwnDevice() async {
    await #expect(processExitsWith: .failure) {
      var superblock = Golden.superblock
      superblock.members.removeFirst()
      _ = superblock.encoded()
    }
  }

  @Test func aSuperblockThatCouldHaveNoSuccessor() async {
    await #expect(processExitsWith: .failure) {
      var superblock = Golden.superblock
      superblock.sequence = FormatConstants.counterLimit
      _ = superblock.encoded()
    }
  }

  @Test func aVolumeWhoseRootIsInMemory() async {
    await #expect(processExitsWith: .failure) {
      var volume = Golden.volume
      volume.root.pointer = NodePointer(
        address: PoolAddress(block: 1), flags: NodePointer.memoryFlag, checksum: 0, birth: .zero)
      withNode { volume.encode(into: $0, slot: 0) }
    }
  }

  @Test func aDoomedEntryWithoutARoot() async {
    await #expect(processExitsWith: .failure) {
      var entry = Golden.doomed
      entry.root = .none
      withNode { entry.encode(into: $0, index: 0) }
    }
  }

  @Test func aLentSegmentWithAPlace() async {
    await #expect(processExitsWith: .failure) {
      var entry = Golden.segments[0]
      entry.segmentClass = .lent
      withNode { entry.encode(into: $0, index: 0) }
    }
  }

  @Test func aJournalBlockThatVouchesForItself() async {
    await #expect(processExitsWith: .failure) {
      var header = Golden.journalHeader(payloadBytes: 100)
      header.durableThrough = header.sequence
      withNode { header.encode(into: $0) }
    }
  }
}
