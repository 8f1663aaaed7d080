import DiskSimulation
import StorageUnits
import Testing

/// What the reference model knows of snapshots, clones and rollbacks.
@Suite struct BranchModelTests {
  private let volume = VolumeID(3)
  private let other = VolumeID(4)
  private let snapshot = VolumeID(5)
  private let clone = VolumeID(6)
  private let zeros = [UInt8](repeating: 0, count: 512)

  private func model() -> ReferenceModel {
    var model = ReferenceModel()
    model.volumeCreated(volume, sizeBytes: 1 << 20)
    return model
  }

  /// A write of a sector that is answered.
  private func written(
    _ model: inout ReferenceModel, _ volume: VolumeID, _ sector: UInt64
  ) -> [UInt8] {
    let write = model.issueWrite(volume, sectors: sector..<sector + 1)
    model.answered(write)
    return bytes(write)
  }

  private func bytes(_ operation: ReferenceModel.Operation) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: operation.sectors.count * 512)
    unsafe bytes.withUnsafeMutableBytes { unsafe ReferenceModel.stamp(operation, into: $0) }
    return bytes
  }

  private func accepts(
    _ model: ReferenceModel, _ volume: VolumeID, _ bytes: [UInt8], sector: UInt64 = 0,
    _ ending: ReferenceModel.Ending = .powerCut, _ fate: ReferenceModel.Fate = .certain
  ) -> Bool {
    unsafe bytes.withUnsafeBytes {
      unsafe model.checkRecovered(volume, firstSector: sector, bytes: $0, after: ending, fate)
        .isEmpty
    }
  }

  @Test func aSnapshotKeepsWhatWasAnsweredBeforeItAndNothingThatBeganLater() {
    var model = model()
    let before = written(&model, volume, 0)
    let issued = model.issueBranch()
    model.branched(snapshot, of: volume, issued: issued, isSnapshot: true)
    model.branchEnded(issued: issued)
    let later = written(&model, volume, 0)
    for ending in [ReferenceModel.Ending.powerCut, .processDeath] {
      #expect(accepts(model, snapshot, before, ending))
      #expect(!accepts(model, snapshot, zeros, ending))
      #expect(!accepts(model, snapshot, later, ending))
    }
    // The write before it was never flushed for the volume's own sake.
    #expect(accepts(model, volume, zeros))
    #expect(accepts(model, volume, later))
  }

  @Test func aWriteBesideASnapshotIsInItOrNotAndThatStaysSo() {
    var model = model()
    let beside = model.issueWrite(volume, sectors: 0..<1)
    let issued = model.issueBranch()
    model.branched(snapshot, of: volume, issued: issued, isSnapshot: true)
    #expect(accepts(model, snapshot, bytes(beside)))
    #expect(accepts(model, snapshot, zeros))
    unsafe zeros.withUnsafeBytes { unsafe model.settle(snapshot, firstSector: 0, bytes: $0) }
    model.answered(beside, isDurable: true)
    #expect(!accepts(model, snapshot, bytes(beside)))
    #expect(accepts(model, snapshot, zeros))
  }

  @Test func aCloneBeginsWithTheSnapshotAndThenIsItsOwn() {
    var model = model()
    let before = written(&model, volume, 0)
    let cut = model.issueBranch()
    model.branched(snapshot, of: volume, issued: cut, isSnapshot: true)
    let issued = model.issueBranch()
    model.branched(clone, of: snapshot, issued: issued, isSnapshot: false)
    #expect(!model.isSnapshot(clone))
    #expect(accepts(model, clone, before))
    #expect(!accepts(model, clone, zeros))
    let own = model.issueWrite(clone, sectors: 0..<1)
    model.answered(own, isDurable: true)
    #expect(accepts(model, clone, bytes(own)))
    #expect(!accepts(model, clone, before))
    #expect(!accepts(model, snapshot, bytes(own)))
  }

  @Test func aRollbackThatWasNotAnsweredTookPlaceWhollyOrNotAtAll() {
    var model = model()
    let old = [written(&model, volume, 0), written(&model, volume, 1)]
    let cut = model.issueBranch()
    model.branched(snapshot, of: volume, issued: cut, isSnapshot: true)
    let new = [UInt64(0), 1].map { sector in
      let write = model.issueWrite(volume, sectors: sector..<sector + 1)
      model.answered(write, isDurable: true)
      return bytes(write)
    }
    let issued = model.issueRollback(of: volume, to: snapshot)
    func fits(_ contents: [UInt8]) -> Bool {
      model.fates(of: volume).contains { accepts(model, volume, contents, .powerCut, $0) }
    }
    #expect(fits(old[0] + old[1]))
    #expect(fits(new[0] + new[1]))
    #expect(!fits(old[0] + new[1]))
    #expect(!fits(new[0] + old[1]))
    model.replaced(volume, issued: issued)
    #expect(fits(old[0] + old[1]))
    #expect(!fits(new[0] + new[1]))
  }

  @Test func aWriteBesideARollbackMayBeUndoneByItAndOneAfterItMayNot() {
    var model = model()
    let cut = model.issueBranch()
    model.branched(snapshot, of: volume, issued: cut, isSnapshot: true)
    let issued = model.issueRollback(of: volume, to: snapshot)
    let beside = model.issueWrite(volume, sectors: 7..<8)
    model.answered(beside, isDurable: true)
    model.replaced(volume, issued: issued)
    #expect(accepts(model, volume, zeros, sector: 7))
    #expect(accepts(model, volume, bytes(beside), sector: 7))
    let after = model.issueWrite(volume, sectors: 7..<8)
    model.answered(after, isDurable: true)
    #expect(!accepts(model, volume, zeros, sector: 7))
    #expect(accepts(model, volume, bytes(after), sector: 7))
  }

  @Test func aRollbackThatWasRefusedLeavesNoTrace() {
    var model = model()
    let cut = model.issueBranch()
    model.branched(snapshot, of: volume, issued: cut, isSnapshot: true)
    let write = model.issueWrite(volume, sectors: 0..<1)
    model.answered(write, isDurable: true)
    let issued = model.issueRollback(of: volume, to: snapshot)
    model.replacementRefused(volume, issued: issued)
    #expect(model.fates(of: volume) == [.certain])
    #expect(!accepts(model, volume, zeros))
    #expect(accepts(model, volume, bytes(write)))
  }

  @Test func snapshotsOfSeveralVolumesHaveOneInstant() {
    var model = model()
    model.volumeCreated(other, sizeBytes: 1 << 20)
    let issued = model.issueBranch()
    let first = written(&model, volume, 0)
    let second = written(&model, other, 0)
    func isPossible(_ a: [UInt8], _ b: [UInt8]) -> Bool {
      var instant: Range<UInt64> = 0..<UInt64.max
      for (source, bytes) in [(volume, a), (other, b)] {
        unsafe bytes.withUnsafeBytes {
          unsafe model.narrow(&instant, by: $0, firstSector: 0, of: source)
        }
      }
      return !instant.isEmpty
    }
    #expect(isPossible(zeros, zeros))
    #expect(isPossible(first, zeros))
    #expect(isPossible(first, second))
    // The second was asked for when the first had been answered.
    #expect(!isPossible(zeros, second))
    model.branchEnded(issued: issued)
  }
}
