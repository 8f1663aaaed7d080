public import BlockIO
import DiskFormat
import StorageUnits

/// Recounts a pool offline from its devices alone and compares what it finds with what the pool
/// says of itself.
///
/// It reads and never writes. It looks at the newest checkpoint: of a pool that was not closed it
/// judges the image that recovery would start from, and the chain of the journal, but not what the
/// journal's records would make of the image. Every rule is derived here from the format page; it
/// shares no logic with the code that runs a pool.
///
/// Memory grows with the number of nodes and extents in use. One thread.
public final class PoolInspector {
  var report = InspectionReport()
  let given: [any SynchronousDevice]
  /// The members among the given devices.
  var members: [DeviceIndex: MemberDevice] = [:]
  var segments: [SegmentEntry] = []
  var nodes: [UInt64: KnownNode] = [:]
  /// How often each extent is named, by extent index.
  var extentNames: [UInt64: UInt32] = [:]
  var extentHomes: [UInt64: ExtentHome] = [:]

  struct MemberDevice {
    var position: Int
    var device: any SynchronousDevice
    var superblock: Superblock
  }

  init(devices: [any SynchronousDevice]) { given = devices }

  /// Inspects the pool on `devices` (in any order).
  public static func inspect(devices: [any SynchronousDevice]) -> InspectionReport {
    let inspector = PoolInspector(devices: devices)
    inspector.run()
    return inspector.report
  }

  private func run() {
    guard let superblock = selectSuperblock() else { return }
    report.superblock = superblock
    guard readSegmentTable(superblock) else { return }
    checkSegmentPlaces(superblock)
    walkCatalogue(superblock)
    walkDoomedList(superblock)
    compareCounts(superblock)
    checkJournal(superblock)
  }

  func find(
    _ problem: InspectionProblem, at place: InspectionPlace, volumes: [VolumeID] = []
  ) {
    report.findings.append(InspectionFinding(problem, at: place, volumes: volumes))
  }

  // MARK: Reading

  /// Reads blocks at one place; nil, with a finding, if the device cannot.
  func read(_ place: DevicePlace, blockCount: Int, for what: InspectionPlace) -> BlockBuffer? {
    guard let member = members[place.device] else { return nil }
    return read(
      member.device, at: place.byteOffset, blockCount: blockCount, for: what)
  }

  func read(
    _ device: any SynchronousDevice, at offset: DeviceByteOffset, blockCount: Int,
    for what: InspectionPlace
  ) -> BlockBuffer? {
    let buffer = BlockBuffer(blockCount: blockCount)
    do throws(DeviceError) {
      try unsafe device.read(at: offset, into: buffer.bytes)
    } catch {
      find(.unreadable(errno: error.errno), at: what)
      return nil
    }
    return buffer
  }

  /// Reads what lies in one or two places: the first that `check` accepts. Reports each place that
  /// is not accepted (as a notice if the other is), and places that differ.
  func readCopies(
    _ places: [DevicePlace], blockCount: Int, for what: InspectionPlace, volumes: [VolumeID] = [],
    check: (BlockBuffer) throws(InspectionRefusal) -> Void
  ) -> BlockBuffer? {
    var good: BlockBuffer?
    var refusal: InspectionRefusal?
    var tried = 0
    for place in places where members[place.device] != nil {
      tried += 1
      guard let buffer = read(place, blockCount: blockCount, for: what) else { continue }
      do throws(InspectionRefusal) {
        try check(buffer)
      } catch {
        refusal = error
        continue
      }
      if let good {
        if !good.hasSameBytes(as: buffer) { find(.copiesDiffer, at: what, volumes: volumes) }
      } else {
        good = buffer
      }
    }
    if let refusal {
      find(good == nil ? refusal.problem : .copiesDiffer, at: what, volumes: volumes)
    }
    return good
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
