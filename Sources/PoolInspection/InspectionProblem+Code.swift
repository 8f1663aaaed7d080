extension InspectionProblem {
  /// Its stable name, for programs (`Docs/CommandLine.md`).
  public var code: String {
    switch self {
    case .unreadable: "unreadable"
    case .invalid: "invalid"
    case .onMissingDevice: "on-missing-device"
    case .wrongSlot: "superblock-wrong-slot"
    case .slotLost: "superblock-slot-lost"
    case .copiesDiffer: "copy-bad"
    case .noSuperblock: "superblock-missing"
    case .foreignDevice: "device-foreign"
    case .memberTwice: "member-twice"
    case .memberMissing: "member-missing"
    case .memberExpelled: "member-expelled"
    case .memberBehind: "member-behind"
    case .memberStale: "member-stale"
    case .memberLargerThanDevice: "device-shrunk"
    case .memberAhead: "member-ahead"
    case .superblocksDisagree: "superblocks-disagree"
    case .otherApplyVersion: "apply-version-unknown"
    case .boundsUnusual: "bounds-unusual"
    case .counterUnusual: "counter-unusual"
    case .unusedField: "field-unused"
    case .systemRangeWrong: "system-range-wrong"
    case .outsideSystemArea: "outside-system-area"
    case .systemOverlap: "system-overlap"
    case .segmentTableMissing: "segment-table-missing"
    case .segmentTableTooLong: "segment-table-too-long"
    case .segmentOutsideDevice: "segment-outside-device"
    case .segmentMisaligned: "segment-misaligned"
    case .segmentInSystemArea: "segment-in-system-area"
    case .segmentsOverlap: "segments-overlap"
    case .placesOnOneDevice: "places-on-one-device"
    case .segmentZeroClass: "segment-zero-class"
    case .lentPlaces: "lent-places"
    case .freeUnits: "free-units"
    case .reserveLow: "reserve-low"
    case .guaranteesTooLarge: "guarantees-too-large"
    case .checksumNotAsNamed: "checksum-not-as-named"
    case .header: "node-header"
    case .nodeAtTwoPlaces: "node-owned-twice"
    case .addressOutsidePool: "address-outside-pool"
    case .wrongClass: "segment-class-wrong"
    case .inCountImage: "address-in-count-image"
    case .birthInFuture: "birth-in-future"
    case .privateBelowShared: "private-below-shared"
    case .writableButShared: "writable-but-shared"
    case .extentAtTwoPlaces: "extent-owned-twice"
    case .packedOverlap: "packed-overlap"
    case .countTooLow: "count-too-low"
    case .countTooHigh: "count-too-high"
    case .countSticky: "count-sticky"
    case .leaksNotJudged: "leaks-not-judged"
    case .volumeInWrongSlot: "volume-in-wrong-slot"
    case .volumeNotBelowNextID: "volume-id-not-given"
    case .volumeNameTwice: "volume-name-twice"
    case .volumeNameUnusual: "volume-name-unusual"
    case .volumeUUIDTwice: "volume-uuid-twice"
    case .familyUnknown: "family-unknown"
    case .shareEpochInFuture: "share-epoch-in-future"
    case .branchPointMissing: "branch-point-missing"
    case .branchPointTwice: "branch-point-twice"
    case .branchPointInFuture: "branch-point-in-future"
    case .snapshotWithoutVolume: "snapshot-without-volume"
    case .receiveUnfinished: "receive-unfinished"
    case .receiveBaseMissing: "receive-base-missing"
    case .bookmarkEpoch: "bookmark-epoch-wrong"
    case .bookmarkTwice: "bookmark-twice"
    case .bookmarkInFuture: "bookmark-in-future"
    case .bookmarkWithoutVolume: "bookmark-without-volume"
    case .bookmarkOfOther: "bookmark-of-other-snapshot"
    case .holdCount: "hold-count"
    case .holdTwice: "hold-twice"
    case .holdWithoutVolume: "hold-without-volume"
    case .holdListGap: "hold-list-gap"
    case .trashedWhileHeld: "trashed-while-held"
    case .owedOrder: "owed-order"
    case .owedWithoutVolume: "owed-without-volume"
    case .owedOnSnapshot: "owed-on-snapshot"
    case .owedBeyondEnd: "owed-beyond-end"
    case .owedListGap: "owed-list-gap"
    case .rootTooLow: "root-too-low"
    case .mappedBeyondEnd: "mapped-beyond-end"
    case .allocatedExtents: "allocated-total"
    case .mappedBlocks: "mapped-total"
    case .doomedListGap: "doomed-list-gap"
    case .doomedTwice: "doomed-twice"
    case .doomedInFuture: "doomed-in-future"
    case .doomedAlreadyDropped: "doomed-already-dropped"
    case .doomedCursorWrong: "doomed-cursor-wrong"
    case .sharedWhileDropped: "shared-while-dropped"
    case .superblockOlderThanJournal: "superblock-too-old"
    case .journalHole: "journal-hole"
    case .journalChainBroken: "journal-chain-broken"
    case .journalRecordGap: "journal-record-gap"
    case .journalRecordsUnreadable: "journal-records-unreadable"
    case .recordRefused: "record-refused"
    case .recordTakesUsedSpace: "record-takes-used-space"
    }
  }

  /// What to do next, by how bad it is where nothing better is known.
  public var advice: String {
    switch self {
    case .copiesDiffer, .wrongSlot:
      "The good copy serves. 'lamina pool check --repair' writes the bad one anew; if it comes"
        + " back, replace the device."
    case .countTooHigh:
      "No data is at risk; the space is lost to the pool until 'lamina pool check --repair' gives"
        + " it back."
    case .countSticky:
      "No data is at risk; 'lamina pool check --repair' sets it to what names it."
    case .allocatedExtents, .mappedBlocks, .freeUnits, .doomedListGap, .holdListGap, .owedListGap,
      .lentPlaces,
      .segmentTableTooLong:
      "No data is at risk, and nothing has to be done."
    case .countTooLow:
      "Do not start the pool: it would overwrite this space. Run 'lamina pool check --repair'"
        + " first."
    case .receiveBaseMissing:
      "It holds a part of what was sent, and is not served. Clone a snapshot of it that is there,"
        + " then delete it and its snapshots."
    case .memberBehind, .slotLost:
      "Nothing has to be done: the next start of the pool writes it anew."
    case .receiveUnfinished:
      "Nothing has to be done: the next start of the pool undoes it. Then receive it again."
    case .memberMissing, .onMissingDevice: "Attach the device, or name it with --device."
    case .memberTwice, .foreignDevice, .memberExpelled:
      "Name the devices of one pool, each once; it is not known what this one holds."
    case .memberStale:
      "It is an old copy of the device: attach the right one. Do not start the pool with it."
    case .memberLargerThanDevice: "Give the device its former size back, and check again."
    case .unreadable: "Look at the kernel's log for the device; replace it if it fails again."
    case .reserveLow: "Delete or discard something, or free a volume, before the pool is used."
    case .leaksNotJudged: "Check again when the damage above is mended."
    case .volumeNameTwice, .volumeNameUnusual, .volumeUUIDTwice, .guaranteesTooLarge,
      .placesOnOneDevice, .unusedField, .memberAhead, .trashedWhileHeld:
      "No data is at risk. Report it together with the output of 'lamina pool dump'."
    case .otherApplyVersion: "Use the version of lamina that wrote the pool."
    case .superblockOlderThanJournal, .noSuperblock:
      "Do not start the pool. Look for a device, or a copy of one, that has the newer superblock."
    default:
      "Do not start the pool. Copy its devices before anything is tried, and restore the volumes"
        + " concerned from a backup."
    }
  }
}
