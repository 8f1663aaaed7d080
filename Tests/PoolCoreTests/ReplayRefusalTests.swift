import DiskFormat
import StorageUnits
import Testing

@testable import PoolCore

/// Records that do not fit the state are refused, and change nothing.
@Suite struct ReplayRefusalTests {
  let test: TestPool
  let slot: VolumeSlot
  var pool: Pool { test.pool }

  init() throws {
    test = TestPool(
      segments: [40, 40], shift: 5,
      bounds: PoolBounds(
        nodeCacheBytes: 1 << 20, dirtyNodeBytes: 1 << 19, countDeltaBytes: 1 << 20))
    let record = Self.volume(0, "a")
    try test.pool.prepareCreate(record)
    _ = test.pool.applyCreate(record)
    slot = try #require(test.pool.volume(named: "a"))
    for extent in 0..<40 as Range<UInt64> {
      _ = test.write(slot, VirtualExtent(index: extent * 400), .all)
    }
    test.checkpoint()
  }

  private static func volume(_ id: UInt64, _ name: String) -> VolumeRecord {
    VolumeRecord(
      id: VolumeID(id), uuid: StorageUUID(high: 1, low: id), name: name, sizeBytes: 1 << 30,
      logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error)
  }

  private func expectRefusal(_ record: Record, _ comment: Comment) {
    #expect(throws: FormatError.self, comment) {
      while case .missing(let load) = try pool.prepare(replayed: record) { test.supply(load) }
    }
  }

  private func expectAcceptance(_ record: Record, _ comment: Comment) throws {
    while case .missing(let load) = try pool.prepare(replayed: record) { test.supply(load) }
    #expect(try pool.prepare(replayed: record).isReady, comment)
  }

  private func first(_ segmentClass: SegmentClass, on device: UInt16? = nil) throws -> Int {
    try #require(
      pool.segments.entries.indices.dropFirst().first {
        let entry = pool.segments.entries[$0]
        return entry.segmentClass == segmentClass
          && (device == nil || entry.place?.device.index == device)
      })
  }

  @Test func mapRecords() throws {
    let node = PoolAddress(block: 16)
    guard case .extent(let at) = pool.takeExtent(for: slot, at: VirtualExtent(index: 1)) else {
      throw FormatError.unknownKind(.record)
    }
    let free = try first(.free)
    let epoch = pool.shareEpoch
    func map(
      _ address: PoolAddress, volume: UInt64 = 1, extent: UInt64 = 1, flags: UInt8 = 0,
      birth: ShareEpoch? = nil
    ) -> Record {
      let layer = Layer(address: address, mask: .all, flags: flags, birth: birth ?? epoch)
      return .map(
        volume: VolumeID(volume), extent: VirtualExtent(index: extent),
        entry: MapEntry(upper: layer, lower: .none))
    }
    try expectAcceptance(map(at), "a plain write")
    expectRefusal(map(at, volume: 7), "no such volume")
    expectRefusal(map(at, extent: 1 << 14), "beyond the end")
    expectRefusal(map(pool.segments.start(of: free)), "a free segment")
    expectRefusal(map(node), "a node segment")
    expectRefusal(map(PoolAddress(block: 1 << 39)), "beyond the pool")
    expectRefusal(map(at.advanced(byBlocks: 1)), "inside an extent")
    expectRefusal(map(at, birth: ShareEpoch(epoch.number + 1)), "born in the future")
    // An extent that a neighbour holds as a plain layer cannot be packed too.
    let neighbour = test.entry(slot, VirtualExtent(index: 0))
    expectRefusal(map(neighbour.upper.address, flags: 2), "packed into a plain extent")
    let overlapping = MapEntry(
      upper: Layer(address: at, mask: .all, birth: epoch),
      lower: Layer(address: neighbour.upper.address, mask: .all, birth: epoch))
    expectRefusal(
      .map(volume: VolumeID(1), extent: VirtualExtent(index: 1), entry: overlapping), "masks")
  }

  @Test func volumeRecords() throws {
    try expectAcceptance(.createVolume(Self.volume(2, "b")), "the next id")
    expectRefusal(.createVolume(Self.volume(1, "b")), "an id in use")
    expectRefusal(.createVolume(Self.volume(3, "b")), "an id out of order")
    expectRefusal(.createVolume(Self.volume(2, "a")), "a name in use")
    expectRefusal(.createVolume(Self.volume(2, "a b")), "no name")
    var wrong = Self.volume(2, "b")
    wrong.sizeBytes = 0
    expectRefusal(.createVolume(wrong), "empty")
    wrong.sizeBytes = 64 << 50
    expectRefusal(.createVolume(wrong), "too large")
    try expectAcceptance(.alterVolume(Self.volume(1, "renamed")), "a new name")
    expectRefusal(.alterVolume(Self.volume(1, "a/b")), "no name")
    var other = Self.volume(1, "a")
    other.family = 2
    expectRefusal(.alterVolume(other), "another family")
    other = Self.volume(1, "a")
    other.isReadOnly = true
    expectRefusal(.alterVolume(other), "a volume that becomes a snapshot")
    other = Self.volume(1, "a")
    other.logicalBlockBytes = 4096
    expectRefusal(.alterVolume(other), "another block size")
    var resized = Self.volume(1, "a")
    resized.sizeBytes = 1 << 40
    expectRefusal(.alterVolume(resized), "another size")
    func resize(_ id: UInt64, _ size: UInt64, _ extents: UInt64 = 0, _ blocks: UInt64 = 0) -> Record
    {
      .resize(
        ResizeStep(
          volume: VolumeID(id), sizeBytes: size, cutExtents: extents, cutBlocks: blocks))
    }
    try expectAcceptance(resize(1, 1 << 40), "larger")
    try expectAcceptance(resize(1, 512 * 3, 39, 39 * 16), "smaller")
    expectRefusal(resize(1, 512, 41), "cuts off more extents than there are")
    expectRefusal(resize(1, 512, 0, 41 * 16), "cuts off more blocks than there are")
    expectRefusal(resize(1, 1 << 40, 1), "larger, and cuts something off")
    expectRefusal(resize(1, 1000), "no multiple of the block")
    expectRefusal(resize(9, 512), "no such volume")
    var trashed = Self.volume(1, "a")
    trashed.isInTrash = true
    trashed.trashedAt = 5
    try expectAcceptance(.alterVolume(trashed), "into the trash")
    pool.applyHold(slot, tag: "h", reason: "", createdAt: 1)
    trashed.holds = 1
    expectRefusal(.alterVolume(trashed), "held, and into the trash")
    pool.applyRelease(slot, tag: "h")
    test.finishBatch()
    trashed = Self.volume(2, "new")
    trashed.isInTrash = true
    trashed.trashedAt = 5
    expectRefusal(.createVolume(trashed), "made in the trash")
    func hold(_ id: UInt64, _ tag: String, _ action: HoldChange.Action) -> Record {
      .hold(
        HoldChange(
          action, HoldEntry(volume: VolumeID(id), tag: tag, reason: "", createdAt: 1)))
    }
    try expectAcceptance(hold(1, "x", .place), "a hold")
    expectRefusal(hold(1, "x y", .place), "no tag")
    expectRefusal(hold(9, "x", .place), "no such volume")
    expectRefusal(hold(1, "x", .release), "no such hold")
    pool.applyHold(slot, tag: "x", reason: "", createdAt: 1)
    expectRefusal(hold(1, "x", .place), "its tag is taken")
    try expectAcceptance(hold(1, "x", .release), "the hold")
    expectRefusal(.deleteVolume(VolumeID(1)), "held")
    expectRefusal(.alterVolume(Self.volume(1, "a")), "would forget a hold")
    pool.applyRelease(slot, tag: "x")
    test.finishBatch()
    expectRefusal(.deleteVolume(VolumeID(9)), "no such volume")
    try expectOwedIsJudged(slot)
    expectRefusal(.snapshot(source: VolumeID(1), snapshot: Self.volume(2, "s")), "not built")
    expectRefusal(.rollback(volume: VolumeID(1), snapshot: VolumeID(1)), "not built")
    expectRefusal(.unshare(volume: VolumeID(1), branchPoint: .zero), "not built")
  }

  private func expectOwedIsJudged(_ slot: VolumeSlot) throws {
    let blocks = ByteCount(pool.sizeBytes(of: slot)).blocksRoundingUp
    func owed(_ action: OwedChange.Action, _ id: UInt64, _ first: UInt64, _ count: UInt64) -> Record
    {
      .owed(
        OwedChange(
          action, OwedRange(volume: VolumeID(id), firstBlock: first, blockCount: count)))
    }
    try expectAcceptance(owed(.owe, 1, 0, blocks), "all of a volume")
    expectRefusal(owed(.owe, 1, 1, blocks), "beyond the end")
    expectRefusal(owed(.owe, 9, 0, 1), "no such volume")
    expectRefusal(owed(.settle, 1, 0, 1), "nothing is owed")
    pool.applyOwe(OwedRange(volume: VolumeID(1), firstBlock: 4, blockCount: 4))
    try expectAcceptance(owed(.settle, 1, 5, 1), "out of the middle")
    expectRefusal(owed(.settle, 1, 8, 1), "behind what is owed")
    let request = Pool.SnapshotRequest(source: slot, name: "s", uuid: .zero, createdAt: 0)
    let snapshot = Record.snapshot(source: VolumeID(1), snapshot: pool.snapshotRecord(request))
    expectRefusal(snapshot, "of what owes")
    pool.applySettle(OwedRange(volume: VolumeID(1), firstBlock: 0, blockCount: 8))
    try expectAcceptance(snapshot, "of what owes nothing")
    test.finishBatch()
  }

  @Test func everyTransitionOfASegmentThatIsNoneIsRefused() throws {
    let free = try first(.free, on: 0)
    let otherFree = try first(.free, on: 1)
    let data = try first(.data)
    let node = 0
    let lent = try first(.lent)
    func change(_ segment: Int, _ to: SegmentClass, _ partner: Int? = nil) -> Record {
      .segmentClass(
        SegmentIndex(index: UInt32(segment)), to,
        partner: partner.map { SegmentIndex(index: UInt32($0)) })
    }
    try expectAcceptance(change(free, .data), "free to data")
    try expectAcceptance(change(free, .node), "free to node")
    try expectAcceptance(change(free, .node, otherFree), "free to node, with a partner")
    let allowed: Set<[Int]> = [[free, 1], [free, 2], [otherFree, 1], [otherFree, 2]]
    for segment in [free, otherFree, data, node, lent, pool.segments.count] {
      for to in [SegmentClass.free, .data, .node, .lent]
      where !allowed.contains([segment, Int(to.rawValue)]) {
        expectRefusal(change(segment, to), "\(segment) to \(to)")
      }
    }
    for partner in [free, data, node, lent, pool.segments.count] {
      expectRefusal(change(free, .node, partner), "partner \(partner)")
    }
    let sameDevice = try #require(pool.segments.freeByDevice[0]?.first { Int($0) != free })
    expectRefusal(change(free, .node, Int(sameDevice)), "a partner on the same device")
    expectRefusal(change(free, .data, otherFree), "data has no partner")
  }

  @Test func dropsOutOfTurn() throws {
    try pool.prepareDelete(slot)
    let deleted = pool.applyDelete(slot).number
    test.finishBatch()
    for _ in 0..<3 { _ = test.drop() }
    let log = test.log.suffix(3).map(\.record)
    let next = try nextStep()
    try expectAcceptance(.drop(next), "the next step")
    for record in log { expectRefusal(record, "backwards") }
    var wrong = next
    wrong.doomed = RecordNumber(deleted.number + 1)
    expectRefusal(.drop(wrong), "nothing is doomed by that name")
    for level in 0...FormatConstants.maximumLevel where level != next.level {
      wrong = next
      wrong.level = level
      expectRefusal(.drop(wrong), "level \(level)")
    }
    for key in [next.key + 1, next.key + 100, UInt64.max] {
      wrong = next
      wrong.key = key
      expectRefusal(.drop(wrong), "key \(key)")
    }
    wrong = next
    wrong.decision = .release
    expectRefusal(.drop(wrong), "released although nothing else names it")
  }

  private func nextStep() throws -> DropStep {
    let copy = TestPool(recovering: test)
    #expect(copy.drop())
    guard case .drop(let step) = try #require(copy.log.last).record else {
      throw FormatError.unknownKind(.record)
    }
    return step
  }
}

extension Preparation {
  fileprivate var isReady: Bool {
    if case .ready = self { return true }
    return false
  }
}
