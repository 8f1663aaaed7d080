import BlockIO
import DiskFormat
import StorageUnits

// The newest superblock: each device has two slots (sequence mod 2) of two copies. The one with the
// greatest sequence among all valid copies of all devices of the pool says what the pool is.
extension PoolInspector {
  func selectSuperblock() -> Superblock? {
    var newest: [Superblock?] = []
    for (position, device) in given.enumerated() {
      newest.append(newestSuperblock(of: device, position: position))
    }
    guard let chosen = newest.compactMap({ $0 }).max(by: { $0.sequence < $1.sequence }) else {
      find(.noSuperblock, at: .pool)
      return nil
    }
    for (position, superblock) in newest.enumerated() {
      guard let superblock else { continue }
      guard superblock.poolUUID == chosen.poolUUID else {
        find(.foreignDevice, at: .device(position: position))
        continue
      }
      admit(superblock, position: position, chosen: chosen)
    }
    for member in chosen.members where member.state == .active && members[member.index] == nil {
      find(.memberMissing(member.index), at: .pool)
    }
    return chosen
  }

  private func admit(_ superblock: Superblock, position: Int, chosen: Superblock) {
    let here = InspectionPlace.device(position: position)
    let index = superblock.device
    guard
      let member = chosen.members.first(where: {
        $0.index == index && $0.uuid == superblock.deviceUUID
      })
    else {
      find(.foreignDevice, at: here)
      return
    }
    guard members[index] == nil else {
      find(.memberTwice(index), at: here)
      return
    }
    if member.state == .expelled { find(.memberExpelled(index), at: here) }
    if member.sizeBytes > given[position].sizeBytes {
      find(.memberLargerThanDevice(index), at: here)
    }
    if superblock.sequence < chosen.sequence {
      // One superblock write is on all members before the next one starts.
      let isOneBehind = superblock.sequence == chosen.sequence - 1
      find(
        isOneBehind
          ? .memberBehind(index, sequence: superblock.sequence, newest: chosen.sequence)
          : .memberStale(index, sequence: superblock.sequence, newest: chosen.sequence), at: here)
    } else if !superblock.agrees(with: chosen) {
      find(.superblocksDisagree, at: here)
    }
    members[index] = MemberDevice(
      position: position, device: given[position], superblock: superblock)
  }

  private func newestSuperblock(of device: any SynchronousDevice, position: Int) -> Superblock? {
    let slots = (0..<2).map { readSlot($0, of: device, position: position) }
    let newest = slots.flatMap(\.valid).map(\.superblock).max { $0.sequence < $1.sequence }
    for (slot, copies) in slots.enumerated() { report(copies, slot, position, newest) }
    return newest
  }

  /// What the two copies of a slot are.
  private struct SlotCopies {
    var valid: [(copy: Int, superblock: Superblock)] = []
    var failures: [(copy: Int, problem: InspectionProblem, isBlank: Bool)] = []
  }

  private func location(_ position: Int, _ slot: Int, _ copy: Int) -> DeviceLocation {
    DeviceLocation(
      position: position,
      offset: DeviceByteOffset(FormatConstants.superblockOffsets[slot][copy]))
  }

  /// One bad copy beside a good one needs a copy. A slot without any good one is what a crash
  /// leaves that tore both while they were written; the other slot must be good then. A slot that
  /// was never written is no finding.
  private func report(_ copies: SlotCopies, _ slot: Int, _ position: Int, _ newest: Superblock?) {
    var copies = copies
    // Both copies are good, and one is of an earlier write or of another pool.
    if copies.valid.count == 2 && copies.valid[0].superblock != copies.valid[1].superblock {
      let isFirstNewer =
        copies.valid[0].superblock.sequence > copies.valid[1].superblock.sequence
      let older = copies.valid.remove(at: isFirstNewer ? 1 : 0)
      copies.failures.append((older.copy, .copiesDiffer, false))
    }
    for failure in copies.failures where !(copies.valid.isEmpty && failure.isBlank) {
      let place = InspectionPlace.superblock(position: position, slot: slot, copy: failure.copy)
      let here = location(position, slot, failure.copy)
      guard let good = copies.valid.first else {
        find(newest == nil ? failure.problem : .slotLost, at: place, locations: [here])
        continue
      }
      find(.copiesDiffer, at: place, locations: [here])
      remember(
        BadCopy(
          good: location(position, slot, good.copy), bad: here,
          blockCount: FormatConstants.superblockBytes / FormatConstants.blockBytes, place: place))
    }
  }

  private func readSlot(
    _ slot: Int, of device: any SynchronousDevice, position: Int
  ) -> SlotCopies {
    var copies = SlotCopies()
    for (copy, offset) in FormatConstants.superblockOffsets[slot].enumerated() {
      do throws(InspectionRefusal) {
        let buffer = try read(
          device, at: DeviceByteOffset(offset), blockCount: FormatConstants.superblockBytes / 4096)
        if buffer.isZero {
          copies.failures.append((copy, .invalid(.badMagic(.superblock)), true))
          continue
        }
        let superblock = try InspectionRefusal.checking { () throws(FormatError) in
          try unsafe Superblock(decoding: buffer.bytes.bytes)
        }
        guard superblock.sequence % 2 == UInt64(slot) else {
          throw InspectionRefusal(problem: .wrongSlot(sequence: superblock.sequence))
        }
        copies.valid.append((copy, superblock))
      } catch { copies.failures.append((copy, error.problem, false)) }
    }
    return copies
  }

  // MARK: What it says

  /// Fields that can be judged by themselves or by the devices.
  func checkSuperblock(_ superblock: Superblock) {
    if superblock.applyVersion != Self.applyVersion && superblock.isOpen {
      find(.otherApplyVersion(superblock.applyVersion), at: .pool)
    }
    checkCounters(superblock)
    if superblock.fenceEpoch != 0 { find(.unusedField(.fenceEpoch), at: .pool) }
    let bounds = superblock.bounds
    if bounds.dirtyNodeBytes > Self.usualMemoryBytes / 2
      || bounds.countDeltaBytes > Self.usualMemoryBytes
    {
      find(.boundsUnusual, at: .pool)
    }
    for member in superblock.members where member.superblockSequence > superblock.sequence {
      find(.memberAhead(member.index, sequence: member.superblockSequence), at: .pool)
    }
    for member in members.values.sorted(by: { $0.position < $1.position }) {
      checkRanges(of: member)
    }
  }

  private func checkCounters(_ superblock: Superblock) {
    let counters: [(InspectionProblem.Counter, UInt64)] = [
      (.superblock, superblock.sequence), (.checkpoint, superblock.checkpointSequence),
      (.record, superblock.checkpointRecord.number), (.logGeneration, superblock.logGeneration),
      (.volume, superblock.nextVolumeID),
      (.journalBlock, superblock.streams.map(\.firstSequence).max() ?? 0),
    ]
    for (counter, value) in counters where value >= Self.unusualCounter {
      find(.counterUnusual(counter), at: .pool)
    }
  }

  /// A million a second take nine thousand years to get there.
  private static let unusualCounter: UInt64 = 1 << 58

  /// The rules by which version 1 applies records.
  static let applyVersion: UInt16 = 1
  /// What a start may take for its replay.
  private static let usualMemoryBytes: UInt64 = 64 << 30

  private func checkRanges(of member: MemberDevice) {
    let here = InspectionPlace.device(position: member.position)
    let ranges = member.superblock.systemRanges
    for (i, range) in ranges.enumerated() {
      let end = range.firstBlock + range.blockCount
      let overlaps = ranges[..<i].contains {
        $0.firstBlock < end && range.firstBlock < $0.firstBlock + $0.blockCount
      }
      if overlaps || end > member.device.sizeBytes >> 12 {
        find(.systemRangeWrong(range), at: here)
      }
    }
  }
}

extension Superblock {
  /// Alike in everything that is not about the device itself.
  fileprivate func agrees(with other: Superblock) -> Bool {
    var copy = other
    copy.deviceUUID = deviceUUID
    copy.device = device
    copy.systemRanges = systemRanges
    return self == copy
  }
}
