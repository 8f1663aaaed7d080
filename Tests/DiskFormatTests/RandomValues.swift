import DiskFormat
import StorageUnits

/// Random values that a writer may write, for round trips.
extension SeededRandom {
  mutating func number(below bound: UInt64) -> UInt64 {
    // Small numbers, edges and the whole range, each often.
    switch next() % 4 {
    case 0: next() % min(bound, 16)
    case 1: bound - 1
    default: next() % bound
    }
  }

  /// Something that counts up, with room for the next.
  mutating func counter() -> UInt64 { number(below: FormatConstants.counterLimit - 1) }

  mutating func epoch() -> ShareEpoch { ShareEpoch(UInt32(number(below: 1 << 32))) }
  mutating func uuid() -> StorageUUID { StorageUUID(randomHigh: next(), randomLow: next()) }

  mutating func text(_ lengths: ClosedRange<Int>) -> String {
    let wanted = Int.random(in: lengths, using: &self)
    var text = ""
    while true {
      let piece = ["a", "Z", "-", "é", "漢", "🦊"][Int(next() % 6)]
      if text.utf8.count + piece.utf8.count > wanted { break }
      text += piece
    }
    return text.isEmpty && lengths.lowerBound > 0 ? "x" : text
  }

  mutating func place() -> DevicePlace {
    DevicePlace(
      device: DeviceIndex(index: UInt16(number(below: 1 << 16))),
      block: 1 + number(below: (1 << 48) - 1))
  }

  mutating func secondPlace(besides first: DevicePlace) -> DevicePlace? {
    let second = place()
    return chance(3) || second == first ? nil : second
  }

  mutating func layer(within allowed: UInt16) -> Layer {
    if chance(4) { return Layer(address: .none, mask: .none, birth: epoch()) }
    let mask = BlockMask(bits: UInt16(truncatingIfNeeded: next()) & allowed)
    if !mask.isEmpty, chance(4) {
      let extent = 1 + number(below: (1 << 36) - 1)
      let first = next() % UInt64(17 - mask.count)
      return Layer(
        address: PoolAddress(block: extent << 4 | first), mask: mask, flags: 2, birth: epoch())
    }
    let provisioned = mask.isEmpty || chance(3)
    return Layer(
      address: PoolAddress(block: (1 + number(below: (1 << 36) - 1)) << 4), mask: mask,
      flags: provisioned ? 1 : 0, birth: epoch())
  }

  mutating func mapEntry() -> MapEntry {
    let upper = layer(within: 0xFFFF)
    var lower = layer(within: ~upper.mask.bits)
    if lower.address == upper.address { lower = .none }
    if !upper.isNone, !lower.isNone, chance(4) { lower.flags |= Layer.clearedFlag }
    return MapEntry(upper: upper, lower: lower)
  }

  mutating func pointer() -> NodePointer {
    if chance(4) { return NodePointer(address: .none, checksum: 0, birth: epoch()) }
    return NodePointer(
      address: PoolAddress(block: 1 + number(below: (1 << 40) - 1)),
      checksum: UInt32(truncatingIfNeeded: next()), birth: epoch())
  }

  mutating func root() -> TreeRoot { TreeRoot(pointer: pointer(), level: UInt8(next() % 5)) }

  mutating func systemPointer() -> SystemPointer {
    let first = place()
    return SystemPointer(
      place: first, secondPlace: secondPlace(besides: first),
      checksum: UInt32(truncatingIfNeeded: next()))
  }

  mutating func segmentEntry() -> SegmentEntry {
    let first = place()
    var entry = SegmentEntry(place: first)
    entry.secondPlace = secondPlace(besides: first)
    entry.freeUnits = UInt32(number(below: 1 << 32))
    switch next() % 4 {
    case 0: entry.segmentClass = .free
    case 1:
      entry.segmentClass = .lent
      entry.place = nil
      entry.secondPlace = nil
    case 2:
      entry.segmentClass = .data
      if !chance(3) {
        entry.countPage = PoolAddress(block: 1 + number(below: (1 << 40) - 1))
        entry.countChecksum = UInt32(truncatingIfNeeded: next())
      }
    default:
      entry.segmentClass = .node
      entry.currentImage = UInt8(next() % 2)
      entry.countChecksum = UInt32(truncatingIfNeeded: next())
    }
    return entry
  }

  mutating func volume() -> VolumeRecord {
    let block: UInt32 = chance(2) ? 512 : 4096
    let blocks = StorageSizes.maximumVolumeBytes / UInt64(block)
    var volume = VolumeRecord(
      id: VolumeID(1 + counter()), uuid: uuid(), name: text(1...127),
      sizeBytes: number(below: blocks + 1) * UInt64(block), logicalBlockBytes: block,
      createdAt: next(),
      fullPolicy: chance(2) ? .error : .wait(seconds: UInt32(number(below: 1 << 32))))
    volume.family = next()
    volume.isReadOnly = chance(2)
    volume.versionNode = UInt64(UInt32(truncatingIfNeeded: next()))
    if volume.isReadOnly && chance(2) { volume.origin = VolumeID(1 + next() % 1000) }
    volume.isReceiving = !volume.isReadOnly && chance(4)
    if (volume.isReceiving || volume.origin != nil) && chance(2) { volume.lineage = uuid() }
    volume.shareEpoch = epoch()
    volume.bookmarkEpoch = epoch()
    volume.root = root()
    volume.allocatedExtents = next()
    volume.mappedBlocks = next()
    volume.guaranteeBytes = next()
    volume.limitBytes = next()
    volume.holds = UInt32(number(below: 1 << 32))
    if !volume.isReceiving && chance(4) {
      volume.isInTrash = true
      volume.trashedAt = 1 + number(below: 1 << 40)
      volume.expiresAt = next()
    }
    return volume
  }

  /// A volume as records carry it.
  mutating func volumeInRecord() -> VolumeRecord {
    var volume = volume()
    volume.root = .none
    volume.allocatedExtents = 0
    volume.mappedBlocks = 0
    return volume
  }

  mutating func doomedEntry() -> DoomedEntry {
    let level = UInt8(next() % 5)
    let pointer = NodePointer(
      address: PoolAddress(block: 1 + number(below: (1 << 40) - 1)),
      checksum: UInt32(truncatingIfNeeded: next()), birth: epoch())
    return DoomedEntry(
      id: RecordNumber(1 + counter()), family: next(),
      root: TreeRoot(pointer: pointer, level: level), cursorEnd: VirtualExtent(index: next()),
      cursorLevel: UInt8(next() % UInt64(level + 1)))
  }

  mutating func volumeID() -> VolumeID { VolumeID(1 + counter()) }

  mutating func segmentClassRecord() -> Record {
    let segment = SegmentIndex(index: UInt32(number(below: 1 << 32)))
    let partner = SegmentIndex(index: UInt32(number(below: 1 << 32)))
    let segmentClass = [SegmentClass.free, .data, .node][Int(next() % 3)]
    let hasPartner = segmentClass == .node && partner != segment && chance(2)
    return .segmentClass(segment, segmentClass, partner: hasPartner ? partner : nil)
  }

  mutating func bookmark(isRecord: Bool) -> Bookmark {
    let volume = VolumeID(1 + number(below: 1 << 40))
    return Bookmark(
      id: RecordNumber(isRecord ? 0 : 1 + counter()), volume: volume,
      snapshot: VolumeID(volume.number + 1 + number(below: 1 << 40)),
      snapshotIdentity: StorageUUID(high: next(), low: next()),
      epoch: ShareEpoch(1 + UInt32(number(below: 1 << 31))),
      sizeBytes: number(below: 1 << 55), createdAt: next(), snapshotCreatedAt: next(),
      name: text(1...127), snapshotName: text(1...127))
  }

  mutating func record() -> Record {
    switch next() % 17 {
    case 0: .createVolume(volumeInRecord())
    case 1: .alterVolume(volumeInRecord())
    case 2: .deleteVolume(volumeID())
    case 3: .snapshot(source: volumeID(), snapshot: volumeInRecord())
    case 4: .clone(source: volumeID(), clone: volumeInRecord())
    case 5: .rollback(volume: volumeID(), snapshot: volumeID())
    case 6: .unshare(volume: volumeID(), branchPoint: epoch())
    case 7:
      segmentClassRecord()
    case 8:
      .drop(
        DropStep(
          doomed: RecordNumber(1 + counter()), level: UInt8(next() % 5), key: next(),
          decision: chance(2) ? .release : .descend))
    case 9:
      .resize(
        ResizeStep(
          volume: volumeID(), sizeBytes: 1 + number(below: StorageSizes.maximumVolumeBytes),
          cutExtents: next(), cutBlocks: next()))
    case 11:
      .settings(PoolSettings(trashExpirySeconds: UInt32(truncatingIfNeeded: next())))
    case 10:
      .hold(
        HoldChange(
          chance(2) ? .place : .release,
          HoldEntry(
            volume: volumeID(), tag: text(1...63), reason: text(0...159), createdAt: next())))
    case 14:
      .owed(
        OwedChange(
          chance(2) ? .owe : .settle,
          OwedRange(
            volume: volumeID(), firstBlock: number(below: 1 << 42),
            blockCount: 1 + number(below: 1 << 42))))
    case 12: .createBookmark(bookmark(isRecord: true))
    case 13: .deleteBookmark(RecordNumber(1 + counter()))
    default: .map(volume: volumeID(), extent: VirtualExtent(index: next()), entry: mapEntry())
    }
  }

  mutating func journalHeader() -> JournalBlockHeader {
    let sequence = 1 + counter()
    let records = UInt16(next() % 80)
    let payload = records == 0 ? 0 : Int(records) * 44 + Int(next() % 480)
    return JournalBlockHeader(
      stream: 0, pool: next(), logGeneration: next(), logNonce: next(), sequence: sequence,
      superblockSequence: counter(), checkpointSequence: next(),
      firstRecord: RecordNumber(1 + counter()), recordCount: records,
      payloadBytes: UInt16(min(payload, FormatConstants.journalPayloadBytes)),
      durableThrough: next() % sequence, applyVersion: UInt16(number(below: 1 << 16)),
      previousChecksum: sequence == 1 ? 0 : UInt32(truncatingIfNeeded: next()))
  }

  mutating func superblock() -> Superblock {
    let shift = UInt8.random(in: 4...14, using: &self)
    var members: [PoolMember] = []
    let count = chance(4) ? 60 : 1 + Int(next() % 5)
    let firstIndex = UInt16(next() % 1000)
    for i in 0..<count {
      members.append(
        PoolMember(
          uuid: uuid(), index: DeviceIndex(index: firstIndex + UInt16(i)),
          state: chance(4) ? .expelled : .active, sizeBytes: next(), superblockSequence: next()))
    }
    let own = members[Int(next() % UInt64(count))]
    let journal = place()
    let firstSequence = 1 + counter()
    return Superblock(
      features: FeatureMasks(mayIgnore: next(), clearBeforeWrite: next()), poolUUID: uuid(),
      poolName: text(1...127), deviceUUID: own.uuid, device: own.index,
      sequence: 1 + counter(), checkpointSequence: counter(),
      checkpointRecord: RecordNumber(counter()), logGeneration: counter(), logNonce: next(),
      applyVersion: UInt16(number(below: 1 << 16)),
      shareEpoch: ShareEpoch(1 + UInt32(number(below: (1 << 32) - 1))), segmentShift: shift,
      segmentCount: 1 + UInt32(number(below: min(1 << (40 - UInt64(shift)), UInt64(UInt32.max)))),
      allocationRunExtents: UInt16(number(below: 1 << 16)), nextVolumeID: 1 + counter(),
      bounds: WriterBounds(dirtyNodeBytes: next(), countDeltaBytes: next()), catalogue: root(),
      doomed: root(),
      segmentTable: SystemTreeRoot(
        pointer: chance(4) ? nil : systemPointer(), level: UInt8(next() % 5)),
      streams: [
        JournalStream(
          place: journal, secondPlace: secondPlace(besides: journal),
          blockCount: 8 + UInt32(number(below: 1 << 31)), firstSequence: firstSequence,
          previousChecksum: firstSequence == 1 ? 0 : UInt32(truncatingIfNeeded: next()))
      ],
      systemRanges: (0..<Int(next() % 9)).map { _ in
        SystemRange(
          firstBlock: 256 + number(below: 1 << 40), blockCount: 1 + number(below: 1 << 40))
      }, members: members, fenceEpoch: next(),
      openedBy: Opening(host: text(0...64), process: UInt32(number(below: 1 << 32)), at: next()),
      isOpen: chance(2))
  }
}
