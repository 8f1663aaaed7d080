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
    if member.sizeBytes > given[position].sizeBytes {
      find(.memberLargerThanDevice(index), at: here)
    }
    if superblock.sequence < chosen.sequence {
      find(
        .memberBehind(index, sequence: superblock.sequence, newest: chosen.sequence), at: here)
    } else if !superblock.agrees(with: chosen) {
      find(.superblocksDisagree, at: here)
    }
    members[index] = MemberDevice(
      position: position, device: given[position], superblock: superblock)
  }

  private func newestSuperblock(of device: any SynchronousDevice, position: Int) -> Superblock? {
    let slots = (0..<2).map { readSlot($0, of: device, position: position) }
    let newest = slots.flatMap(\.valid).max { $0.sequence < $1.sequence }
    for (slot, copies) in slots.enumerated() { report(copies, slot, position, newest) }
    return newest
  }

  /// What the two copies of a slot are.
  private struct SlotCopies {
    var valid: [Superblock] = []
    var failures: [(copy: Int, problem: InspectionProblem, isBlank: Bool)] = []
  }

  /// One bad copy beside a good one needs a copy. A slot without any good one is what a crash
  /// leaves that tore both while they were written; the other slot must be good then. A slot that
  /// was never written is no finding.
  private func report(_ copies: SlotCopies, _ slot: Int, _ position: Int, _ newest: Superblock?) {
    for failure in copies.failures where !(copies.valid.isEmpty && failure.isBlank) {
      let place = InspectionPlace.superblock(position: position, slot: slot, copy: failure.copy)
      if !copies.valid.isEmpty {
        find(.copiesDiffer, at: place)
      } else {
        find(newest == nil ? failure.problem : .slotLost, at: place)
      }
    }
    if copies.valid.count == 2 && copies.valid[0] != copies.valid[1] {
      find(.copiesDiffer, at: .superblock(position: position, slot: slot, copy: 1))
    }
  }

  private func readSlot(
    _ slot: Int, of device: any SynchronousDevice, position: Int
  ) -> SlotCopies {
    var copies = SlotCopies()
    for (copy, offset) in FormatConstants.superblockOffsets[slot].enumerated() {
      let place = InspectionPlace.superblock(position: position, slot: slot, copy: copy)
      guard
        let buffer = read(
          device, at: DeviceByteOffset(offset), blockCount: FormatConstants.superblockBytes / 4096,
          for: place)
      else { continue }
      do throws(FormatError) {
        let superblock = try unsafe Superblock(decoding: buffer.bytes.bytes)
        if superblock.sequence % 2 == UInt64(slot) {
          copies.valid.append(superblock)
        } else {
          copies.failures.append((copy, .wrongSlot(sequence: superblock.sequence), false))
        }
      } catch {
        copies.failures.append((copy, .invalid(error), buffer.isZero))
      }
    }
    return copies
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
