import DiskFormat
import StorageUnits

// What a finding says to a person.
extension InspectionFinding.Severity {
  /// `notice`, `warning` or `damage`.
  public var name: String {
    switch self {
    case .notice: "notice"
    case .mismatch: "warning"
    case .damage: "damage"
    }
  }
}

extension InspectionFinding {
  /// What is wrong and where: one sentence without a full stop.
  public func message(in report: InspectionReport) -> String {
    "\(place.text(in: report)): \(problem.text(in: report))"
  }

  /// What is touched, and where the bytes lie: none to three lines.
  public func details(in report: InspectionReport) -> [String] {
    var lines: [String] = []
    if !volumes.isEmpty {
      let names = volumes.prefix(20).map { report.name(of: $0) }
      let rest = volumes.count > 20 ? " and \(volumes.count - 20) more" : ""
      lines.append(
        "Touches \(volumes.count == 1 ? "volume" : "volumes") "
          + names.joined(separator: ", ") + rest
          + (volumeBytes.map { ", bytes \($0.lowerBound) to \($0.upperBound - 1)" } ?? "") + ".")
    }
    if !locations.isEmpty {
      let texts = locations.map {
        "\(report.deviceName(at: $0.position)) at byte \($0.offset.bytes)"
      }
      lines.append("On " + texts.joined(separator: " and on ") + ".")
    }
    return lines
  }
}

extension InspectionReport {
  func name(of volume: VolumeID) -> String {
    volumeNames[volume].map { "'\($0)'" } ?? "number \(volume.number)"
  }

  func deviceName(at position: Int) -> String {
    deviceNames.indices.contains(position) ? deviceNames[position] : "device \(position)"
  }

  func deviceName(_ index: DeviceIndex) -> String {
    memberPositions[index].map { deviceName(at: $0) } ?? "member \(index.index)"
  }
}

extension InspectionPlace {
  /// What the place is called in messages.
  public func text(in report: InspectionReport) -> String {
    switch self {
    case .pool: "the pool"
    case .device(let position): "device \(report.deviceName(at: position))"
    case .superblock(let position, let slot, let copy):
      "superblock copy \(copy) of slot \(slot) on \(report.deviceName(at: position))"
    case .systemPage(let place):
      "block \(place.block) of the system area on \(report.deviceName(place.device))"
    case .segment(let segment): "segment \(segment.index)"
    case .node(let address): "table node at pool address \(address.block)"
    case .extent(let extent): "extent \(extent.index) of the pool"
    case .volume(let id): "volume \(report.name(of: id))"
    case .doomed(let number): "the deleted tree of record \(number.number)"
    case .journalBlock(let sequence): "journal block \(sequence)"
    case .record(let number): "record \(number.number) of the journal"
    }
  }
}

extension InspectionProblem {
  func text(in report: InspectionReport) -> String {
    switch self {
    case .unreadable(let errno): "it cannot be read (errno \(errno))"
    case .invalid(let error): error.words
    case .onMissingDevice: "it lies on a device that is not there"
    case .wrongSlot(let sequence): "sequence \(sequence) does not belong into this slot"
    case .slotLost: "neither copy of the slot is good; the other slot serves"
    case .copiesDiffer: "this copy is bad, another one is good"
    case .noSuperblock: "no superblock of any device can be used"
    case .foreignDevice: "it belongs to another pool, or is no member of this one"
    case .memberTwice(let index): "another device says too that it is member \(index.index)"
    case .memberMissing(let index): "member \(index.index) is not among the devices"
    case .memberExpelled(let index): "member \(index.index) was expelled from the pool"
    case .memberBehind(let index, let sequence, let newest):
      "member \(index.index) has superblock \(sequence), the newest is \(newest): a crash came"
        + " between them"
    case .memberStale(let index, let sequence, let newest):
      "member \(index.index) has superblock \(sequence), the newest is \(newest): it is an old copy"
    case .memberLargerThanDevice(let index):
      "member \(index.index) is recorded larger than the device is"
    case .memberAhead(let index, let sequence):
      "member \(index.index) is said to have superblock \(sequence), which does not exist"
    case .superblocksDisagree: "its newest superblock differs from that of another device"
    case .otherApplyVersion(let version): "records are applied by rules of version \(version)"
    case .boundsUnusual: "a start would need more memory than any writer leaves to be replayed"
    case .counterUnusual(let counter): "the \(counter.rawValue) is greater than any pool reaches"
    case .unusedField(let field): "the \(field.rawValue) is set, which this version does not use"
    default: tableText(in: report)
    }
  }

  private func tableText(in report: InspectionReport) -> String {
    switch self {
    case .systemRangeWrong(let range):
      "the system range of \(range.blockCount) blocks at block \(range.firstBlock) overlaps"
        + " another one or leaves the device"
    case .outsideSystemArea: "a page or journal lies outside the system area"
    case .systemOverlap(let other): "it lies on what is at block \(other.block)"
    case .segmentTableMissing: "a part of the segment table is missing"
    case .segmentTableTooLong: "the segment table has lines behind the last segment"
    case .segmentOutsideDevice: "it lies outside every device"
    case .segmentMisaligned: "it is not aligned to its size"
    case .segmentInSystemArea: "it lies on the system area"
    case .segmentsOverlap(let other): "it overlaps segment \(other.index)"
    case .placesOnOneDevice: "both places are on one device"
    case .segmentZeroClass(let found): "it has class \(found.name), and is to have class node"
    case .lentPlaces(let lent, let used):
      "\(lent) segments are lent, and \(used) second places are in use"
    case .freeUnits(let stored, let recounted):
      "it is noted with \(stored) free units and has \(recounted)"
    case .reserveLow(let needed, let available):
      "a checkpoint may need \(needed) blocks, and \(available) can be had"
    case .guaranteesTooLarge(let bytes): "\(bytes) bytes are guaranteed, more than the pool has"
    case .countTooLow(let stored, let recounted):
      "its count is \(stored), but \(recounted) name it: it would be overwritten"
    case .countTooHigh(let stored, let recounted):
      recounted == 0
        ? "its count is \(stored), but nothing names it: leaked"
        : "its count is \(stored), but \(recounted) name it"
    case .countSticky(let recounted):
      "its count stands at the highest value, and \(recounted) name it"
    case .leaksNotJudged:
      "there are counts that are higher than what could be read; leaks cannot be told"
    default: treeText(in: report)
    }
  }

  private func treeText(in report: InspectionReport) -> String {
    switch self {
    case .checksumNotAsNamed: "it is intact, but not the node that is named (checksum)"
    case .header(let field): "it is intact, but not the node that is named (\(field.rawValue))"
    case .nodeAtTwoPlaces: "it names a node that is named elsewhere for something else"
    case .addressOutsidePool(let address): "it names address \(address.block), which is none"
    case .wrongClass(let address, let found):
      "it names address \(address.block) in a segment of class \(found.name)"
    case .inCountImage(let address): "it names address \(address.block), which holds counts"
    case .birthInFuture(let birth): "it holds birth \(birth.number), which is in the future"
    case .privateBelowShared(let birth, let epoch):
      "below it is birth \(birth.number), above share epoch \(epoch.number) of the volume"
    case .writableButShared: "a volume may change it in place, but something else names it too"
    case .extentAtTwoPlaces: "two different places of volumes name it"
    case .packedOverlap: "packed layers of different places of volumes lie on the same blocks"
    case .volumeInWrongSlot: "its record is not where its number belongs"
    case .volumeNotBelowNextID(let next): "its number was not given yet; the next is \(next)"
    case .volumeNameTwice(let other): "\(report.name(of: other)) has the same name"
    case .volumeNameUnusual: "no command accepts its name"
    case .volumeUUIDTwice(let other): "\(report.name(of: other)) has the same UUID"
    case .familyUnknown(let family): "there is no family \(family)"
    case .shareEpochInFuture(let epoch): "its share epoch \(epoch.number) is in the future"
    case .branchPointMissing(let epoch): "branch point \(epoch.number) is not there"
    case .branchPointTwice(let epoch): "branch point \(epoch.number) is there twice"
    case .branchPointInFuture(let epoch): "branch point \(epoch.number) is in the future"
    case .bookmarkEpoch(let stored, let found):
      "its newest bookmark is of branch point \(found.number), and it says \(stored.number)"
    case .bookmarkTwice(let name): "bookmark '\(name)' is there twice"
    case .bookmarkInFuture(let name): "bookmark '\(name)' names what was not made yet"
    case .bookmarkWithoutVolume(let name): "there is no volume that has bookmark '\(name)'"
    case .bookmarkOfOther(let name): "bookmark '\(name)' does not fit the snapshot that it names"
    case .snapshotWithoutVolume(let id): "there is no volume \(id.number) that it is a snapshot of"
    case .receiveUnfinished: "a stream was being received into it"
    case .receiveBaseMissing(let base):
      "it was being received upon snapshot \(base) of it, which is not there"
    case .holdCount(let stored, let found):
      "it is noted with \(stored) holds, and the list has \(found) of it"
    case .holdTwice(let tag): "it has two holds of the tag '\(tag)'"
    case .holdWithoutVolume(let id): "volume \(id.number) is held and is not there"
    case .holdListGap: "the list of holds has an empty slot before an entry"
    case .owedOrder(let block):
      "the list of owed discards has block \(block) of it out of order, or twice"
    case .owedWithoutVolume(let id):
      "discards are owed on volume \(id.number), which is not there"
    case .owedOnSnapshot: "it is a snapshot, and discards are owed on it"
    case .owedBeyondEnd(let block): "a discard is owed beyond its end, at block \(block)"
    case .owedListGap: "the list of owed discards has an empty slot before an entry"
    case .trashedWhileHeld: "it is in the trash, although it is held"
    case .rootTooLow(let level, let needed):
      "its map has level \(level), and its size needs level \(needed)"
    case .mappedBeyondEnd: "something is mapped beyond its end"
    case .allocatedExtents(let stored, let recounted):
      "it is noted with \(stored) extents and has \(recounted)"
    case .mappedBlocks(let stored, let recounted):
      "it is noted with \(stored) mapped blocks and has \(recounted)"
    case .doomedListGap: "there is an empty slot before it in the list"
    case .doomedTwice: "it is in the list twice"
    case .doomedInFuture: "its record is younger than the checkpoint"
    case .doomedAlreadyDropped: "it is wholly dropped and still in the list"
    case .doomedCursorWrong: "its cursor is between nodes"
    case .sharedWhileDropped: "something else names a node of which a part was dropped already"
    default: journalText
    }
  }

  private var journalText: String {
    switch self {
    case .superblockOlderThanJournal(let sequence, let named):
      "it follows superblock \(named), and the newest that is left is \(sequence)"
    case .journalHole(let proof):
      "it is good nowhere, and block \(proof) says that it was durable"
    case .journalChainBroken: "it is intact, but does not follow the block before"
    case .journalRecordGap(let expected, let found):
      "it begins with record \(found), and record \(expected) is the next"
    case .journalRecordsUnreadable(let error): "its records cannot be read: \(error.words)"
    case .recordRefused(let field): "it does not fit the pool (\(field)); a start would refuse it"
    case .recordTakesUsedSpace(let extent):
      "it takes extent \(extent.index), which something else names"
    default: code
    }
  }
}

extension SegmentClass {
  var name: String {
    switch self {
    case .free: "free"
    case .data: "data"
    case .node: "node"
    case .lent: "lent"
    }
  }
}

extension FormatError {
  /// Why bytes were not accepted, in words.
  var words: String {
    switch self {
    case .badMagic(let what): "there is no \(what.words) (its mark is missing)"
    case .unknownVersion(let what): "the \(what.words) has a version that is not known"
    case .badChecksum(let what): "the checksum of the \(what.words) is wrong"
    case .reservedNotZero(let what): "reserved bytes of the \(what.words) are not zero"
    case .unknownKind(let what): "the \(what.words) is of a kind that is not known"
    case .badField(let what, let field): "the \(what.words) has an impossible value (\(field))"
    case .unknownFeatures(let bits):
      "it needs features that this version does not have (\(String(bits, radix: 16)))"
    case .truncated(let what): "the \(what.words) is cut off"
    }
  }
}

extension FormatError.Structure {
  var words: String {
    switch self {
    case .superblock: "superblock"
    case .node: "table node"
    case .segmentTable: "segment table"
    case .journalBlock: "journal block"
    case .record: "record"
    case .volumeRecord: "volume record"
    case .doomedEntry: "entry of a deleted tree"
    case .versionNode: "branch point"
    case .bookmark: "bookmark"
    case .hold: "hold"
    case .owed: "owed discard"
    case .tailHeader: "tail"
    case .tailFrame: "record of the tail"
    }
  }
}
