import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import Testing
import VolumeEngine

/// The image of a checkpoint, pinned for the check of a pool that is in use.
@Suite struct ImagePinTests {
  private func smallRig() -> EngineRig {
    var options = RigOptions()
    options.segments = [24, 16]
    options.shift = 6
    return EngineRig(options)
  }

  private func pin(_ rig: EngineRig) throws -> PinnedImage {
    #expect(rig.manage { $0.pinImage(token: $1) } == .done)
    return try #require(rig.engine.pinnedImage)
  }

  /// Hosts write all over the volume, give space back, and checkpoints follow one another.
  private func work(_ rig: EngineRig, _ v: VolumeID, rounds: Int) {
    for round in 0..<rounds {
      for i in 0..<12 {
        let at = UInt64((round * 5 + i * 7) % 60) << 24
        #expect(rig.write(v, at: at, pattern(round * 100 + i, 8192)) == nil)
      }
      #expect(rig.run(.discard, v, at: UInt64(round % 60) << 24, length: 1 << 24) == nil)
      #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    }
  }

  @Test func aPinnedImageIsCheckedWhileHostsWriteAndCheckpointsGoOn() throws {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30)
    work(rig, v, rounds: 3)
    let image = try pin(rig)
    let inspector = try #require(
      PoolInspector.beginServed(
        devices: rig.disks.devices, superblockSequence: image.superblockSequence))
    // Hosts may write before the thaw, and everything may happen after it.
    #expect(rig.write(v, at: 0, pattern(1, 8192)) == nil)
    #expect(rig.engine.renewImagePin(image.id, thaws: true))
    work(rig, v, rounds: 6)
    let report = inspector.finishServed()
    #expect(report.isComplete && report.isServed && report.isClean, "\(report.findings)")
    #expect(report.totals.volumes == 1 && report.totals.usedExtents > 12)
    #expect(rig.engine.releaseImagePin(image.id))
    // What was kept is used again: nothing has leaked.
    work(rig, v, rounds: 3)
    let after = PoolInspector.inspect(devices: rig.disks.devices)
    #expect(after.isClean, "\(after.findings)")
  }

  /// The same without a pin: the nodes that the inspection still wants are overwritten, so the test
  /// above can fail.
  @Test func withoutAPinTheImageDoesNotStay() throws {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30)
    work(rig, v, rounds: 3)
    let image = try pin(rig)
    let inspector = try #require(
      PoolInspector.beginServed(
        devices: rig.disks.devices, superblockSequence: image.superblockSequence))
    #expect(rig.engine.releaseImagePin(image.id))
    work(rig, v, rounds: 6)
    #expect(!inspector.finishServed().isClean)
  }

  @Test func anImageThatIsNotTheNewestIsNotBegun() throws {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30)
    work(rig, v, rounds: 2)
    let image = try pin(rig)
    #expect(rig.engine.releaseImagePin(image.id))
    work(rig, v, rounds: 1)
    #expect(
      PoolInspector.beginServed(
        devices: rig.disks.devices, superblockSequence: image.superblockSequence) == nil)
  }

  @Test func whoNeedsACheckpointEndsAFrozenPinAndNotAThawedOne() throws {
    let rig = smallRig()
    let v = rig.createVolume(size: 1 << 30)
    work(rig, v, rounds: 1)
    let frozen = try pin(rig)
    #expect(rig.manage { $0.pinImage(token: $1) } == .refused(.imageIsPinned))
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    #expect(!rig.engine.renewImagePin(frozen.id, thaws: true))
    #expect(!rig.engine.releaseImagePin(frozen.id))
    let thawed = try pin(rig)
    #expect(thawed.id != frozen.id)
    #expect(rig.engine.renewImagePin(thawed.id, thaws: true))
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    #expect(rig.engine.releaseImagePin(thawed.id))
    #expect(!rig.engine.releaseImagePin(thawed.id))
  }

  @Test func aPinThatNobodyRenewsExpires() throws {
    let rig = smallRig()
    _ = rig.createVolume(size: 1 << 30)
    #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
    let frozen = try pin(rig)
    rig.clock.advance(milliseconds: 9_999)
    rig.settle()
    #expect(rig.engine.renewImagePin(frozen.id, thaws: false))
    rig.clock.advance(milliseconds: 1)
    rig.settle()
    #expect(!rig.engine.renewImagePin(frozen.id, thaws: false), "frozen for ten seconds")
    let kept = try pin(rig)
    #expect(rig.engine.renewImagePin(kept.id, thaws: true))
    rig.clock.advance(milliseconds: 59_000)
    rig.settle()
    #expect(rig.engine.renewImagePin(kept.id, thaws: true))
    rig.clock.advance(milliseconds: 60_000)
    rig.settle()
    #expect(!rig.engine.renewImagePin(kept.id, thaws: true))
    #expect(rig.manage { $0.pinImage(token: $1) } != .refused(.imageIsPinned))
  }

  /// Hosts come first: a pool that runs full takes as much with a pin as without, and the pin is
  /// what goes.
  @Test func aPinCostsHostsNoSpace() throws {
    let counts = try [false, true].map { isPinned in
      let rig = smallRig()
      let v = rig.createVolume(size: 1 << 30)
      #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
      let image = isPinned ? try pin(rig) : nil
      if let image { #expect(rig.engine.renewImagePin(image.id, thaws: true)) }
      var count = 0
      var isSettled = false
      while count < 2000 {
        let error = rig.write(v, at: UInt64(count) << 16, pattern(count, 4096))
        if error != nil {
          #expect(error == .noSpace)
          if isSettled { break }
          #expect(rig.manage { $0.checkpoint(token: $1) } == .done)
        }
        isSettled = error != nil
        if error == nil {
          count += 1
          if count % 10 == 0 { #expect(rig.manage { $0.checkpoint(token: $1) } == .done) }
        }
      }
      if let image { #expect(!rig.engine.releaseImagePin(image.id)) }
      return count
    }
    #expect(counts[0] > 50 && counts[0] == counts[1], "\(counts)")
  }
}
