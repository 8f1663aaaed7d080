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
    var newest: Superblock?
    for slot in 0..<2 {
      guard let superblock = superblock(of: device, position: position, slot: slot) else {
        continue
      }
      if newest.map({ $0.sequence < superblock.sequence }) ?? true { newest = superblock }
    }
    return newest
  }

  /// The valid superblock of a slot, the newer one if its copies differ.
  private func superblock(
    of device: any SynchronousDevice, position: Int, slot: Int
  ) -> Superblock? {
    var valid: [Superblock] = []
    var failures: [(copy: Int, problem: InspectionProblem, isBlank: Bool)] = []
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
          valid.append(superblock)
        } else {
          failures.append((copy, .wrongSlot(sequence: superblock.sequence), false))
        }
      } catch {
        failures.append((copy, .invalid(error), buffer.isZero))
      }
    }
    // A slot that was never written is no finding; one of whose copies one is good needs a copy.
    for failure in failures where !(valid.isEmpty && failure.isBlank) {
      find(
        valid.isEmpty ? failure.problem : .copiesDiffer,
        at: .superblock(position: position, slot: slot, copy: failure.copy))
    }
    if valid.count == 2 && valid[0] != valid[1] {
      find(.copiesDiffer, at: .superblock(position: position, slot: slot, copy: 1))
    }
    return valid.max { $0.sequence < $1.sequence }
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
