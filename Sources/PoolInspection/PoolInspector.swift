public import BlockIO
import DiskFormat
import StorageUnits

/// Recounts a pool from its devices alone and compares what it finds with what the pool says of
/// itself.
///
/// It reads and never writes. It looks at the newest checkpoint: of a pool that was not closed it
/// judges the image that recovery would start from, the chain of the journal, and whether the
/// journal's records fit that image, but not what they would make of it. Every rule is derived here
/// from the format page; it shares no logic with the code that runs a pool.
///
/// Memory: 6 bytes for each extent of data segments (`ExtentTable`), about 150 bytes for each node
/// in use (some 15 MiB for each TiB that one volume maps), 72 bytes a segment, 448 a volume, 64 a
/// journal block. Findings are bounded by `InspectionReport.findingsPerCode`. One thread.
public final class PoolInspector {
  /// How far an inspection is, in blocks that are read.
  public struct Progress: Hashable, Sendable {
    public var done: UInt64
    /// An estimate, from what the segment table says is in use; never below `done`.
    public var total: UInt64
  }

  var report = InspectionReport()
  let given: [any SynchronousDevice]
  /// The members among the given devices.
  var members: [DeviceIndex: MemberDevice] = [:]
  var segments: [SegmentEntry] = []
  var nodes: [UInt64: KnownNode] = [:]
  var extents = ExtentTable()
  var volumes: [VolumeRecord] = []
  var doomed: [DoomedEntry] = []
  /// Branch points and the ones above them.
  var branchPoints: [ShareEpoch: ShareEpoch] = [:]
  var bookmarks: [Bookmark] = []
  var holds: [HoldEntry] = []
  var owed: [OwedRange] = []
  /// Copies that are bad while another one is good.
  var badCopies: [BadCopy] = []
  /// Pages of the segment table, by level and key.
  var pages: [SegmentPage: SystemPointer] = [:]
  /// Node segments whose count image is bad in every place.
  var damagedImages: Set<SegmentIndex> = []
  /// Count images that were read beforehand, since they do not stay: `PoolInspector+Served.swift`.
  var countImages: [SegmentIndex: BlockBuffer?] = [:]
  /// Extents of the leaf at hand; kept to save its memory.
  var leafExtents: [UInt64] = []
  private var listed: [String: Int] = [:]
  private let progress: ((Progress) -> Void)?
  private var done = Progress(done: 0, total: 0)

  struct MemberDevice {
    var position: Int
    var device: any SynchronousDevice
    var superblock: Superblock
  }

  /// A page of the segment table.
  struct SegmentPage: Hashable {
    var level: UInt8
    var key: UInt64
  }

  /// Blocks that can be written anew from a good copy.
  struct BadCopy: Hashable {
    var good: DeviceLocation
    var bad: DeviceLocation
    var blockCount: Int
    var place: InspectionPlace
  }

  /// Bad copies that are remembered; a repair of more goes on where it is repeated.
  static let badCopiesAtMost = 100_000

  init(devices: [any SynchronousDevice], progress: ((Progress) -> Void)? = nil) {
    given = devices
    self.progress = progress
  }

  /// Inspects the pool on `devices` (in any order). `progress` is called now and then.
  public static func inspect(
    devices: [any SynchronousDevice], progress: ((Progress) -> Void)? = nil
  ) -> InspectionReport {
    let inspector = PoolInspector(devices: devices, progress: progress)
    inspector.run()
    return inspector.report
  }

  func run() {
    guard let superblock = readSystemArea() else { return }
    checkImage(superblock)
    checkJournal(superblock)
    finish(superblock)
  }

  /// Superblocks and segment table; nil if there is nothing to go on with.
  func readSystemArea() -> Superblock? {
    report.deviceNames = given.map(\.name)
    guard let superblock = selectSuperblock() else { return nil }
    report.superblock = superblock
    report.memberPositions = members.mapValues(\.position)
    checkSuperblock(superblock)
    guard readSegmentTable(superblock) else { return nil }
    checkSystemArea(superblock)
    checkSegmentPlaces(superblock)
    expect(superblock)
    extents = ExtentTable(segments, segmentShift: superblock.segmentShift)
    return superblock
  }

  /// All trees, and the recount.
  func checkImage(_ superblock: Superblock) {
    walkVersionTree(superblock)
    walkBookmarks(superblock)
    walkCatalogue(superblock)
    checkBookmarks(superblock)
    walkHolds(superblock)
    walkOwed(superblock)
    walkDoomedList(superblock)
    compareCounts(superblock)
    checkReserves(superblock)
  }

  func finish(_ superblock: Superblock) {
    nameVolumes(superblock)
    report.isComplete = true
  }

  // MARK: Findings and progress

  func find(
    _ problem: InspectionProblem, at place: InspectionPlace, volumes: [VolumeID] = [],
    locations: [DeviceLocation] = []
  ) {
    let code = problem.code
    let count = listed[code, default: 0]
    guard count < InspectionReport.findingsPerCode else {
      report.unlisted[code, default: 0] += 1
      return
    }
    listed[code] = count + 1
    report.findings.append(
      InspectionFinding(problem, at: place, volumes: volumes, locations: locations))
  }

  func location(_ place: DevicePlace) -> DeviceLocation? {
    members[place.device].map {
      DeviceLocation(position: $0.position, offset: place.byteOffset)
    }
  }

  /// What there will be to read: the journal, count images and pages, and nodes in use.
  private func expect(_ superblock: Superblock) {
    let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
    var total: UInt64 =
      report.isServed ? 0 : superblock.streams.reduce(0) { $0 + UInt64($1.blockCount) }
    for entry in segments {
      switch entry.segmentClass {
      case .node:
        let used =
          UInt64(layout.usableBlocks)
          - min(
            UInt64(entry.freeUnits), UInt64(layout.usableBlocks))
        total += used + UInt64(layout.pagesPerImage)
      case .data, .free, .lent: break
      }
    }
    done.total = total
  }

  private func note(blocks: Int) {
    let before = done.done
    done.done += UInt64(blocks)
    guard let progress, before >> 8 != done.done >> 8 else { return }
    done.total = max(done.total, done.done)
    progress(done)
  }

  // MARK: Reading

  func read(
    _ device: any SynchronousDevice, at offset: DeviceByteOffset, blockCount: Int
  ) throws(InspectionRefusal) -> BlockBuffer {
    let buffer = BlockBuffer(blockCount: blockCount)
    do throws(DeviceError) {
      try unsafe device.read(at: offset, into: buffer.bytes)
    } catch { throw InspectionRefusal(problem: .unreadable(errno: error.errno)) }
    note(blocks: blockCount)
    return buffer
  }

  /// Reads what lies in one or two places: the first that `check` accepts. Reports each place that
  /// is not accepted (as a notice if the other is), and places that differ.
  func readCopies(
    _ places: [DevicePlace], blockCount: Int, for what: InspectionPlace, volumes: [VolumeID] = [],
    check: (BlockBuffer) throws(InspectionRefusal) -> Void
  ) -> BlockBuffer? {
    var good: (buffer: BlockBuffer, location: DeviceLocation)?
    var bad: [(problem: InspectionProblem, location: DeviceLocation)] = []
    for place in places {
      guard let member = members[place.device] else { continue }
      let location = DeviceLocation(position: member.position, offset: place.byteOffset)
      do throws(InspectionRefusal) {
        let buffer = try read(member.device, at: place.byteOffset, blockCount: blockCount)
        try check(buffer)
        if let good, !good.buffer.hasSameBytes(as: buffer) {
          bad.append((.copiesDiffer, location))
        } else if good == nil {
          good = (buffer, location)
        }
      } catch { bad.append((error.problem, location)) }
    }
    guard let good else {
      find(
        bad.first?.problem ?? .onMissingDevice, at: what, volumes: volumes,
        locations: bad.map(\.location))
      return nil
    }
    for copy in bad {
      find(.copiesDiffer, at: what, volumes: volumes, locations: [copy.location])
      remember(
        BadCopy(good: good.location, bad: copy.location, blockCount: blockCount, place: what))
    }
    return good.buffer
  }

  func remember(_ copy: BadCopy) {
    if badCopies.count < Self.badCopiesAtMost { badCopies.append(copy) }
  }
}

/// Why bytes were not accepted.
struct InspectionRefusal: Error {
  var problem: InspectionProblem

  /// Runs a check of `DiskFormat`.
  static func checking<T>(_ body: () throws(FormatError) -> T) throws(InspectionRefusal) -> T {
    do throws(FormatError) {
      return try body()
    } catch {
      throw InspectionRefusal(problem: .invalid(error))
    }
  }
}
