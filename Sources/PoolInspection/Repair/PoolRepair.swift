public import BlockIO
import DiskFormat
public import StorageUnits

/// Mends of a pool what can be mended without guessing; the rest stays as it is.
///
/// - A bad copy (of a superblock, node, count image, page of the segment table, or journal block)
///   is written anew from the good one.
/// - A member without the newest superblock, and a slot without any good copy, get a superblock as
///   a start of the pool would write it.
/// - Counts become what the recount gives. They are lowered only if nothing else is damaged: what
///   cannot be read, or is named wrongly, may name what seems to be leaked.
///
/// Nothing that the newest superblock names is overwritten but bad copies; counts are written like
/// a checkpoint: to free places, barrier, superblocks, barrier. A repair that a crash cuts leaves
/// the pool as it was or as it is to be, and can be repeated. The format has no mark for a volume
/// that is damaged: such a volume stays as it is, and does not keep the others from being mended.
///
/// The devices are the caller's alone meanwhile. Memory: as the inspection. One thread.
public final class PoolRepair {
  /// One thing that a repair does.
  public enum Action: Hashable, Sendable {
    case copy(of: InspectionPlace, from: DeviceLocation, to: DeviceLocation)
    case completeSuperblock(DeviceIndex)
    case renewSuperblocks
    /// So many counts of extents and nodes go up, and so many go down.
    case recount(raised: UInt64, lowered: UInt64)

    /// What is done, for a person: one sentence without a full stop.
    public func text(in report: InspectionReport) -> String {
      switch self {
      case .copy(let place, let from, let to):
        "write \(place.text(in: report)) anew on \(report.deviceName(at: to.position)) at byte"
          + " \(to.offset.bytes), from \(report.deviceName(at: from.position)) at byte"
          + " \(from.offset.bytes)"
      case .completeSuperblock(let index):
        "write the newest superblock to \(report.deviceName(index))"
      case .renewSuperblocks: "write a new superblock with the same contents to every device"
      case .recount(let raised, let lowered):
        "correct \(raised) counts that are too low and \(lowered) that are too high"
      }
    }
  }

  /// Why nothing can be mended.
  public enum Obstacle: Hashable, Sendable {
    /// It is not certain which devices are the pool, or which superblock is its newest.
    case uncertainMembers
    case noTables

    public var text: String {
      switch self {
      case .uncertainMembers:
        "it is not certain which devices are the pool, or which superblock is the newest"
      case .noTables: "the superblocks or the segment table cannot be read"
      }
    }
  }

  /// What the inspection found before anything was mended.
  public let report: InspectionReport
  /// In the order in which it is done; empty: nothing can be mended.
  public let actions: [Action]
  public let obstacle: Obstacle?

  let inspector: PoolInspector
  private let recount: Recount?

  /// Inspects the pool on `devices` and says what can be mended. Reads only.
  public init(
    devices: [any SynchronousDevice],
    progress: ((PoolInspector.Progress) -> Void)? = nil
  ) {
    let inspector = PoolInspector(devices: devices, progress: progress)
    inspector.run()
    self.inspector = inspector
    report = inspector.report
    obstacle = Self.obstacle(inspector.report)
    guard obstacle == nil, let superblock = report.superblock else {
      actions = []
      recount = nil
      return
    }
    var actions: [Action] = inspector.badCopies.map {
      .copy(of: $0.place, from: $0.good, to: $0.bad)
    }
    for finding in report.findings {
      if case .memberBehind(let index, _, _) = finding.problem {
        actions.append(.completeSuperblock(index))
      }
    }
    let recount = Recount(inspector, superblock, mayLower: Self.mayLower(inspector))
    self.recount = recount.isNeeded ? recount : nil
    if recount.isNeeded {
      actions.append(.recount(raised: recount.raised, lowered: recount.lowered))
    } else if report.findings.contains(where: { $0.problem == .slotLost }) {
      actions.append(.renewSuperblocks)
    }
    self.actions = actions
  }

  private static func obstacle(_ report: InspectionReport) -> Obstacle? {
    guard report.superblock != nil else { return .noTables }
    for finding in report.findings {
      switch finding.problem {
      case .foreignDevice, .memberTwice, .memberMissing, .memberExpelled, .memberStale,
        .superblocksDisagree, .superblockOlderThanJournal, .otherApplyVersion,
        .memberLargerThanDevice, .onMissingDevice, .counterUnusual:
        return .uncertainMembers
      default: break
      }
    }
    return report.isComplete ? nil : .noTables
  }

  /// Whether all that names space is known: everything was read, and nothing is damaged but counts
  /// themselves.
  private static func mayLower(_ inspector: PoolInspector) -> Bool {
    let report = inspector.report
    guard report.isRecountWhole, report.unlisted.isEmpty else { return false }
    return report.findings.allSatisfy { finding in
      if finding.severity < .damage { return true }
      if case .countTooLow = finding.problem { return true }
      return inspector.isOfCounts(finding.place)
    }
  }

  // MARK: Writing

  /// Does what `actions` says. When this returns it is durable. A crash inside is harmless.
  public func perform() throws(RepairError) {
    guard let superblock = report.superblock, !actions.isEmpty else { return }
    do throws(DeviceError) {
      for copy in inspector.badCopies { try write(copy) }
      try flush()
      for case .completeSuperblock(let index) in actions {
        try write(superblock, to: index)
      }
      try flush()
    } catch { throw .device(error) }
    var next = superblock
    next.sequence += 1
    if let recount { try recount.write(into: &next) }
    guard recount != nil || actions.contains(.renewSuperblocks) else { return }
    for i in next.members.indices { next.members[i].superblockSequence = next.sequence }
    do throws(DeviceError) {
      try flush()
      for index in inspector.members.keys.sorted() { try write(next, to: index) }
      try flush()
    } catch { throw .device(error) }
  }

  private func flush() throws(DeviceError) {
    for member in inspector.members.values.sorted(by: { $0.position < $1.position }) {
      try member.device.flush()
    }
  }

  private func write(_ copy: PoolInspector.BadCopy) throws(DeviceError) {
    let buffer = BlockBuffer(blockCount: copy.blockCount)
    let from = inspector.given[copy.good.position]
    try unsafe from.read(at: copy.good.offset, into: buffer.bytes)
    let to = inspector.given[copy.bad.position]
    try unsafe to.write(at: copy.bad.offset, from: UnsafeRawBufferPointer(buffer.bytes))
  }

  /// Both copies, with the fields of the device itself.
  private func write(_ superblock: Superblock, to index: DeviceIndex) throws(DeviceError) {
    guard let member = inspector.members[index] else { return }
    var own = superblock
    own.device = index
    own.deviceUUID = member.superblock.deviceUUID
    own.systemRanges = member.superblock.systemRanges
    let buffer = BlockBuffer(blockCount: FormatConstants.superblockBytes / 4096)
    var span = unsafe buffer.bytes.mutableBytes
    own.encode(into: &span)
    for offset in FormatConstants.superblockOffsets[Int(own.sequence % 2)] {
      try unsafe member.device.write(
        at: DeviceByteOffset(offset), from: UnsafeRawBufferPointer(buffer.bytes))
    }
  }
}

/// Why a repair stopped. What it had written is harmless.
public enum RepairError: Error, Hashable, Sendable, CustomStringConvertible {
  case device(DeviceError)
  /// No free block for a count page, or in the system area for a page of the segment table.
  case noSpace

  public var description: String {
    switch self {
    case .device(let error): error.description
    case .noSpace: "there is no free block for the corrected counts"
    }
  }
}

extension PoolInspector {
  /// Whether only counts lie there.
  func isOfCounts(_ place: InspectionPlace) -> Bool {
    switch place {
    case .node(let address): nodes[address.block]?.identity.type == .countPage
    case .segment(let segment):
      segments.indices.contains(Int(segment.index))
        && segments[Int(segment.index)].segmentClass == .node
        && damagedImages.contains(segment)
    default: false
    }
  }
}
