import DiskSimulation
import StorageUnits
import Testing

/// What the reference model knows of volumes that get another size.
@Suite struct ResizeModelTests {
  private let volume = VolumeID(3)
  private let zeros = [UInt8](repeating: 0, count: 512)

  private func model(sectors: UInt64 = 16) -> ReferenceModel {
    var model = ReferenceModel()
    model.volumeCreated(volume, sizeBytes: sectors * 512)
    return model
  }

  private func bytes(_ operation: ReferenceModel.Operation) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: operation.sectors.count * 512)
    unsafe bytes.withUnsafeMutableBytes { unsafe ReferenceModel.stamp(operation, into: $0) }
    return bytes
  }

  private func accepts(
    _ model: ReferenceModel, _ bytes: [UInt8], sector: UInt64,
    _ fate: ReferenceModel.Fate = .certain
  ) -> Bool {
    unsafe bytes.withUnsafeBytes {
      unsafe model.checkRecovered(
        volume, firstSector: sector, bytes: $0, after: .powerCut, fate
      ).isEmpty
    }
  }

  @Test func aShrinkOnItsWayHasTakenPlaceWhollyOrNotAtAll() {
    var model = model()
    let kept = model.issueWrite(volume, sectors: 2..<3)
    let cut = model.issueWrite(volume, sectors: 8..<9)
    for write in [kept, cut] { model.answered(write, isDurable: true) }
    #expect(model.fates(of: volume) == [.certain])
    let issued = model.issueResize(of: volume, to: 4 * 512)
    #expect(model.isBeingReplaced(volume))
    let fates = model.fates(of: volume)
    #expect(fates.map { model.sizeBytes(of: volume, $0) } == [16 * 512, 4 * 512])
    #expect(accepts(model, bytes(cut), sector: 8, fates[0]))
    #expect(!accepts(model, zeros, sector: 8, fates[0]))
    #expect(!accepts(model, bytes(cut), sector: 8, fates[1]))
    for fate in fates { #expect(accepts(model, bytes(kept), sector: 2, fate)) }
    model.replacementRefused(volume, issued: issued)
    #expect(model.sizeBytes(of: volume) == 16 * 512)
    #expect(accepts(model, bytes(cut), sector: 8) && !accepts(model, zeros, sector: 8))
  }

  // write beyond, in flight       shrink                     grow
  // answered
  //                               answered: the write is gone
  //                                                          zeros behind the old end
  @Test func whatWasAnsweredBeyondTheEndNeverShowsAgain() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 8..<9)
    let shrink = model.issueResize(of: volume, to: 4 * 512)
    model.answered(write, isDurable: true)
    model.replaced(volume, issued: shrink)
    #expect(model.sizeBytes(of: volume) == 4 * 512)
    let grow = model.issueResize(of: volume, to: 16 * 512)
    #expect(model.fates(of: volume).map { model.sizeBytes(of: volume, $0) } == [2048, 8192])
    model.replaced(volume, issued: grow)
    #expect(accepts(model, zeros, sector: 8))
    #expect(!accepts(model, bytes(write), sector: 8))
    let later = model.issueWrite(volume, sectors: 8..<9)
    model.answered(later, isDurable: true)
    #expect(accepts(model, bytes(later), sector: 8) && !accepts(model, zeros, sector: 8))
  }

  /// A write that waits for space while its volume is made smaller and larger may land after that.
  @Test func aWriteThatIsStillOnItsWayAfterTheShrinkMayLand() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 8..<9)
    for size in [4, 16] as [UInt64] {
      model.replaced(volume, issued: model.issueResize(of: volume, to: size * 512))
    }
    #expect(accepts(model, zeros, sector: 8) && accepts(model, bytes(write), sector: 8))
  }

  @Test func aRecoveryThatFindsTheSmallerSizeForgetsWhatLayBeyondIt() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 8..<9)
    model.answered(write, isDurable: true)
    _ = model.issueResize(of: volume, to: 4 * 512)
    model.settle(volume, exists: true, sizeBytes: 4 * 512)
    #expect(!model.isBeingReplaced(volume))
    model.replaced(volume, issued: model.issueResize(of: volume, to: 16 * 512))
    #expect(accepts(model, zeros, sector: 8) && !accepts(model, bytes(write), sector: 8))
  }

  @Test func aSnapshotKeepsTheSizeThatItsVolumeHad() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 8..<9)
    model.answered(write, isDurable: true)
    let issued = model.issueBranch()
    let snapshot = VolumeID(5)
    model.branched(snapshot, of: volume, issued: issued, isSnapshot: true)
    model.branchEnded(issued: issued)
    model.replaced(volume, issued: model.issueResize(of: volume, to: 4 * 512))
    #expect(model.sizeBytes(of: snapshot) == 16 * 512)
    let back = model.issueRollback(of: volume, to: snapshot)
    #expect(model.sizeAfterReplacement(of: volume) == 16 * 512)
    model.replaced(volume, issued: back)
    #expect(accepts(model, bytes(write), sector: 8))
  }
}
