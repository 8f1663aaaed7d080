import BlockIO
import DiskFormat
import StorageUnits
import Testing

@testable import VolumeEngine

/// Which devices make a pool, as one table of what may be found on them.
@Suite struct OpeningMembershipTests {
  typealias Copy = SuperblockSlots.Copy
  typealias Found = PoolMembership.Found

  /// A superblock as device `device` of a pool of `count` devices carries it.
  private func superblock(
    _ sequence: UInt64, device: UInt16 = 0, of count: UInt16 = 1, pool: UInt64 = 1,
    expelled: UInt16? = nil, without: UInt16? = nil
  ) -> Superblock {
    let members = (0..<count).filter { $0 != without }.map { i in
      PoolMember(
        uuid: StorageUUID(high: pool, low: UInt64(i)), index: DeviceIndex(index: i),
        state: i == expelled ? .expelled : .active, sizeBytes: 1 << 30, superblockSequence: 0)
    }
    return Superblock(
      features: FeatureMasks(), poolUUID: StorageUUID(high: pool, low: 99),
      poolName: "pool\(pool)", deviceUUID: StorageUUID(high: pool, low: UInt64(device)),
      device: DeviceIndex(index: device), sequence: sequence, checkpointSequence: 1,
      checkpointRecord: RecordNumber(0), logGeneration: 1, logNonce: 1, applyVersion: 1,
      shareEpoch: ShareEpoch(1), segmentShift: 4, segmentCount: 20, allocationRunExtents: 1,
      nextVolumeID: 1, bounds: WriterBounds(dirtyNodeBytes: 0, countDeltaBytes: 0),
      catalogue: .none, doomed: .none, segmentTable: SystemTreeRoot(pointer: nil, level: 0),
      streams: [], systemRanges: [SystemRange(firstBlock: 256, blockCount: UInt64(device) + 1)],
      members: members, fenceEpoch: 0, openedBy: Opening(host: "h", process: 1, at: 1),
      isOpen: true)
  }

  private func found(_ name: String, _ copies: [Copy], sizeBytes: UInt64 = 1 << 30) -> Found {
    Found(name: name, sizeBytes: sizeBytes, copies: copies)
  }

  /// A device with superblock `sequence` in both copies of its slot and the one before in the
  /// other.
  private func healthy(
    _ name: String, _ sequence: UInt64, device: UInt16 = 0, of count: UInt16 = 1,
    pool: UInt64 = 1, sizeBytes: UInt64 = 1 << 30
  ) -> Found {
    let new = Copy.superblock(superblock(sequence, device: device, of: count, pool: pool))
    let old = Copy.superblock(superblock(sequence - 1, device: device, of: count, pool: pool))
    return found(
      name, sequence % 2 == 0 ? [new, new, old, old] : [old, old, new, new], sizeBytes: sizeBytes)
  }

  private func expect(
    _ error: PoolOpeningError, _ devices: [Found], _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(throws: error, sourceLocation: location) { try PoolMembership(devices) }
    #expect(!error.description.isEmpty, sourceLocation: location)
  }

  // MARK: One device's copies

  /// Every way in which four copies can each be good (of sequence 8 in slot 0, 7 in slot 1),
  /// damaged, unreadable, of another version, or absent.
  @Test func theNewestGoodCopyCountsWhateverTheOthersAre() throws {
    let failure = DeviceError(.read, device: "d", errno: 5)
    let kinds = 5
    for number in 0..<kinds * kinds * kinds * kinds {
      var rest = number
      let copies = (0..<4).map { position -> Copy in
        defer { rest /= kinds }
        switch rest % kinds {
        case 0: return .superblock(superblock(position < 2 ? 8 : 7))
        case 1: return .damaged(.badChecksum(.superblock))
        case 2: return .unreadable(failure)
        case 3: return .otherVersion
        default: return .absent
        }
      }
      let outcome = Result { try PoolMembership.newest(of: found("d", copies)) }
      let isWholeSlotOther = [copies[..<2], copies[2...]].contains { slot in
        slot.allSatisfy { $0 == .otherVersion }
      }
      let best = copies.compactMap { copy -> UInt64? in
        if case .superblock(let superblock) = copy { return superblock.sequence }
        return nil
      }.max()
      let expected: Result<UInt64, PoolOpeningError>
      if isWholeSlotOther {
        expected = .failure(.unknownVersion("d"))
      } else if let best {
        expected = .success(best)
      } else if copies.contains(.unreadable(failure)) {
        expected = .failure(.device(failure))
      } else if copies.contains(.damaged(.badChecksum(.superblock))) {
        expected = .failure(.superblockDamaged("d", .badChecksum(.superblock)))
      } else if copies.contains(.otherVersion) {
        expected = .failure(.superblockDamaged("d", .unknownVersion(.superblock)))
      } else {
        expected = .failure(.notAPoolDevice("d"))
      }
      switch (outcome, expected) {
      case (.success(let superblock), .success(let sequence)):
        #expect(superblock.sequence == sequence)
      case (.failure(let error), .failure(let other)):
        #expect(error as? PoolOpeningError == other, "\(copies)")
      default: Issue.record("\(outcome) instead of \(expected) for \(copies)")
      }
    }
  }

  @Test(arguments: 0..<4)
  func unknownFeaturesInAnyCopyAreRefused(position: Int) {
    var device = healthy("d", 8)
    device.copies[position] = .unknownFeatures(4)
    expect(.unknownFeatures("d", 4), [device])
  }

  // MARK: Several devices

  @Test func devicesMayComeInAnyOrder() throws {
    let a = healthy("a", 8, device: 0, of: 3)
    let b = healthy("b", 8, device: 1, of: 3)
    let c = healthy("c", 8, device: 2, of: 3)
    for devices in [[a, b, c], [c, a, b], [b, c, a]] {
      let membership = try PoolMembership(devices)
      #expect(membership.newest.sequence == 8)
      #expect(membership.indices.map(\.index) == devices.map { $0.copies[0].device })
      #expect(
        membership.systemRanges[DeviceIndex(index: 2)]
          == [SystemRange(firstBlock: 256, blockCount: 3)])
      #expect(membership.deviceUUIDs[DeviceIndex(index: 1)] == StorageUUID(high: 1, low: 1))
      #expect(membership.damagedCopies == 0)
    }
  }

  /// A crash between the superblocks of two members leaves one of them one behind.
  @Test func aMemberMayBeOneSuperblockBehind() throws {
    let a = healthy("a", 8, device: 0, of: 2)
    let b = healthy("b", 7, device: 1, of: 2)
    #expect(try PoolMembership([a, b]).newest.sequence == 8)
    #expect(try PoolMembership([b, a]).newest.sequence == 8)
  }

  @Test func whatIsNotThePoolIsRefused() {
    expect(.noDevices, [])
    expect(.notAPoolDevice("x"), [found("x", [.absent, .absent, .absent, .absent])])
    let a = healthy("a", 8, device: 0, of: 2)
    let b = healthy("b", 8, device: 1, of: 2)
    expect(
      .foreignDevice("x", pool: "pool2", expected: "pool1"), [a, b, healthy("x", 9, pool: 2)])
    expect(.duplicateDevice("a2", "a"), [a, healthy("a2", 8, device: 0, of: 2), b])
    expect(
      .memberMissing(
        pool: "pool1", uuid: StorageUUID(high: 1, low: 1), index: DeviceIndex(index: 1)), [a])
    expect(
      .memberMissing(
        pool: "pool1", uuid: StorageUUID(high: 1, low: 0), index: DeviceIndex(index: 0)), [b])
    expect(
      .staleMember("b", has: 6, newest: 8), [a, healthy("b", 6, device: 1, of: 2)])
    expect(
      .deviceShrunk("b", sizeBytes: 1 << 29, recordedBytes: 1 << 30),
      [a, healthy("b", 8, device: 1, of: 2, sizeBytes: 1 << 29)])
  }

  @Test func devicesOfAnotherPoolThanTheExpectedOneAreRefused() throws {
    let expected = PoolOpening.ExpectedPool(uuid: StorageUUID(high: 1, low: 99), name: "mine")
    let other = healthy("x", 8, pool: 2)
    #expect(throws: PoolOpeningError.foreignDevice("x", pool: "pool2", expected: "mine")) {
      try PoolMembership([other], expecting: expected)
    }
    let own = try PoolMembership([healthy("a", 8)], expecting: expected)
    #expect(own.newest.sequence == 8)
  }

  @Test func aGrownDeviceIsAccepted() throws {
    #expect(try PoolMembership([healthy("a", 8, sizeBytes: 1 << 31)]).newest.sequence == 8)
  }

  @Test func anExpelledOrRemovedMemberIsRefusedByTheNewestSuperblock() {
    let expelling = Copy.superblock(superblock(9, device: 0, of: 2, expelled: 1))
    let removing = Copy.superblock(superblock(9, device: 0, of: 2, without: 1))
    let old = Copy.superblock(superblock(8, device: 0, of: 2))
    let b = healthy("b", 8, device: 1, of: 2)
    expect(.expelledMember("b", pool: "pool1"), [found("a", [old, old, expelling, expelling]), b])
    expect(.notAMember("b", pool: "pool1"), [found("a", [old, old, removing, removing]), b])
  }

  @Test func aPoolOpensWithoutItsExpelledMember() throws {
    let expelling = Copy.superblock(superblock(9, device: 0, of: 2, expelled: 1))
    let a = found("a", [.absent, .damaged(.badChecksum(.superblock)), expelling, expelling])
    let membership = try PoolMembership([a])
    #expect(membership.newest.sequence == 9)
    #expect(membership.damagedCopies == 1)
  }
}

extension SuperblockSlots.Copy {
  fileprivate var device: UInt16? {
    if case .superblock(let superblock) = self { return superblock.device.index }
    return nil
  }
}
