import DiskSimulation
import StorageUnits
import Testing

@Suite struct ReferenceModelTests {
  private let volume = VolumeID(3)

  private func model() -> ReferenceModel {
    var model = ReferenceModel()
    model.volumeCreated(volume, sizeBytes: 1 << 20)
    return model
  }

  private func bytes(_ operation: ReferenceModel.Operation) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: operation.sectors.count * 512)
    unsafe bytes.withUnsafeMutableBytes { unsafe ReferenceModel.stamp(operation, into: $0) }
    return bytes
  }

  private func accepts(
    _ model: ReferenceModel, _ bytes: [UInt8], sector: UInt64 = 0,
    after ending: ReferenceModel.Ending
  ) -> Bool {
    unsafe bytes.withUnsafeBytes {
      unsafe model.checkRecovered(volume, firstSector: sector, bytes: $0, after: ending).isEmpty
    }
  }

  @Test func anUnflushedWriteMayBeLostInAPowerCutButNotInAProcessDeath() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 0..<1)
    let zeros = [UInt8](repeating: 0, count: 512)
    #expect(accepts(model, zeros, after: .processDeath))
    #expect(accepts(model, bytes(write), after: .processDeath))
    model.answered(write)
    #expect(accepts(model, zeros, after: .powerCut))
    #expect(accepts(model, bytes(write), after: .powerCut))
    #expect(!accepts(model, zeros, after: .processDeath))
    #expect(accepts(model, bytes(write), after: .processDeath))
  }

  @Test func aFlushCoversWhatWasAnsweredBeforeItArrived() {
    var model = model()
    let first = model.issueWrite(volume, sectors: 0..<1)
    model.answered(first)
    let second = model.issueWrite(volume, sectors: 1..<2)
    let arrival = model.issueFlush()
    model.answered(second)
    model.flushed(volume, arrival: arrival)
    let zeros = [UInt8](repeating: 0, count: 512)
    #expect(!accepts(model, zeros, after: .powerCut))
    #expect(accepts(model, bytes(first), after: .powerCut))
    #expect(accepts(model, zeros, sector: 1, after: .powerCut))
  }

  @Test func forceUnitAccessCountsAsFlushed() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 0..<1)
    model.answered(write, isDurable: true)
    #expect(!accepts(model, [UInt8](repeating: 0, count: 512), after: .powerCut))
  }

  @Test func anOlderVersionThanTheFlushedOneIsRefused() {
    var model = model()
    let first = model.issueWrite(volume, sectors: 0..<1)
    model.answered(first)
    let second = model.issueWrite(volume, sectors: 0..<1)
    model.answered(second)
    #expect(accepts(model, bytes(first), after: .powerCut))
    model.flushed(volume, arrival: model.issueFlush())
    #expect(!accepts(model, bytes(first), after: .powerCut))
    #expect(accepts(model, bytes(second), after: .powerCut))
  }

  @Test func concurrentWritesMayEndInEitherOrder() {
    var model = model()
    let first = model.issueWrite(volume, sectors: 0..<1)
    let second = model.issueWrite(volume, sectors: 0..<1)
    model.answered(second)
    model.answered(first)
    model.flushed(volume, arrival: model.issueFlush())
    #expect(accepts(model, bytes(first), after: .powerCut))
    #expect(accepts(model, bytes(second), after: .powerCut))
  }

  @Test func aDiscardZeroesWholeBlocksAndMayLeaveParts() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 0..<24)
    model.answered(write, isDurable: true)
    let discard = model.issueDiscard(volume, sectors: 4..<20)
    model.answered(discard, isDurable: true)
    let written = bytes(write)
    let zeros = [UInt8](repeating: 0, count: 512)
    func piece(_ i: Int) -> [UInt8] { [UInt8](written[i * 512..<i * 512 + 512]) }
    #expect(accepts(model, piece(4), sector: 4, after: .powerCut))
    #expect(accepts(model, zeros, sector: 4, after: .powerCut))
    #expect(!accepts(model, piece(8), sector: 8, after: .powerCut))
    #expect(accepts(model, zeros, sector: 8, after: .powerCut))
    #expect(!accepts(model, zeros, sector: 20, after: .powerCut))
  }

  @Test func bytesOfAnotherPlaceVolumeOrShapeAreRefused() {
    var model = model()
    let other = VolumeID(4)
    model.volumeCreated(other, sizeBytes: 1 << 20)
    let write = model.issueWrite(volume, sectors: 0..<2)
    let foreign = model.issueWrite(other, sectors: 0..<1)
    #expect(!accepts(model, bytes(foreign), after: .powerCut))
    #expect(!accepts(model, [UInt8](bytes(write)[512...]), after: .powerCut))
    var torn = bytes(write)
    torn[300] ^= 1
    #expect(!accepts(model, torn, after: .powerCut))
    #expect(accepts(model, bytes(write), after: .powerCut))
  }

  @Test func aReadSeesWhatWasAnsweredBeforeItAndPerhapsMore() {
    var model = model()
    let first = model.issueWrite(volume, sectors: 0..<1)
    model.answered(first)
    let read = model.issueRead()
    let second = model.issueWrite(volume, sectors: 0..<1)
    model.answered(second, isDurable: true)
    var copy = model
    func problems(_ model: inout ReferenceModel, _ bytes: [UInt8], issued: UInt64) -> Int {
      unsafe bytes.withUnsafeBytes {
        unsafe model.checkRead(volume, firstSector: 0, bytes: $0, issued: issued).count
      }
    }
    #expect(problems(&model, bytes(first), issued: read) == 0)
    #expect(problems(&copy, bytes(second), issued: read) == 0)
    let later = model.issueRead()
    #expect(problems(&model, bytes(first), issued: later) == 1)
  }

  @Test func afterRecoveryNothingElseComesBack() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 0..<1)
    model.answered(write)
    let zeros = [UInt8](repeating: 0, count: 512)
    unsafe zeros.withUnsafeBytes {
      unsafe model.settle(volume, firstSector: 0, bytes: $0)
    }
    #expect(accepts(model, zeros, after: .powerCut))
    #expect(!accepts(model, bytes(write), after: .powerCut))
  }

  @Test func aFailedWriteMayHaveTakenPlaceOrNot() {
    var model = model()
    let write = model.issueWrite(volume, sectors: 0..<1)
    model.failed(write)
    model.flushed(volume, arrival: model.issueFlush())
    #expect(accepts(model, [UInt8](repeating: 0, count: 512), after: .powerCut))
    #expect(accepts(model, bytes(write), after: .powerCut))
  }
}
