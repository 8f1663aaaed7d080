public import DiskFormat
import StorageUnits

/// How the devices of a new pool are divided: superblocks, system areas, segments. Pure.
///
/// The journal and the segment table lie on the two largest devices (the only one, where there is
/// one): behind the superblocks, up to the next whole segment. Segments are aligned to their size
/// and are numbered device by device; the allocator spreads over devices by itself.
public struct PoolLayout: Hashable, Sendable {
  /// A device that is to become a member.
  public struct Candidate: Hashable, Sendable {
    /// What messages call it: its path.
    public var name: String
    public var sizeBytes: UInt64

    public init(name: String, sizeBytes: UInt64) {
      self.name = name
      self.sizeBytes = sizeBytes
    }
  }

  /// What the administrator may choose.
  public struct Options: Hashable, Sendable {
    /// Nil: the largest that is at most 64 MiB and at most 1/256 of the pool.
    public var segmentBytes: UInt64?
    /// The length of the journal ring in blocks. Nil: 1/64 of the pool, 4 MiB to 256 MiB.
    public var journalBlocks: UInt32?

    public init(segmentBytes: UInt64? = nil, journalBlocks: UInt32? = nil) {
      self.segmentBytes = segmentBytes
      self.journalBlocks = journalBlocks
    }
  }

  /// A member's division, in 4 KiB blocks.
  public struct Device: Hashable, Sendable {
    public var systemRanges: [SystemRange]
    public var firstSegmentBlock: UInt64
    public var segmentCount: UInt64
  }

  public let segmentShift: UInt8
  /// In the order of the candidates.
  public let devices: [Device]
  public let stream: JournalStream

  /// The smallest number of segments that a pool can work with: nodes, data, and a reserve.
  public static let fewestSegments: UInt64 = 16
  /// The largest number: a segment table of 4 GiB.
  public static let mostSegments: UInt64 = 1 << 26

  public init(_ candidates: [Candidate], options: Options = Options()) throws(PoolLayoutError) {
    guard !candidates.isEmpty else { throw .noDevices }
    guard candidates.count <= FormatConstants.maximumMembers else {
      throw .tooManyDevices(candidates.count)
    }
    var poolBytes: UInt64 = 0
    for candidate in candidates {
      let sum = poolBytes.addingReportingOverflow(candidate.sizeBytes)
      guard !sum.overflow, sum.partialValue <= PoolLayoutError.largestPoolBytes else {
        throw .poolTooLarge
      }
      poolBytes = sum.partialValue
    }
    guard poolBytes >= FormatConstants.smallestPoolBytes else { throw .poolTooSmall(poolBytes) }
    let shift = try Self.segmentShift(poolBytes: poolBytes, chosen: options.segmentBytes)
    segmentShift = shift
    let journal = Self.journalDevices(candidates)
    let ring = try Self.ringBlocks(poolBytes, journal.map { candidates[$0] }, options)
    let table = Self.tableBlocks(segmentsAtMost: poolBytes >> (UInt64(shift) + 12))
    var devices: [Device] = []
    for (index, candidate) in candidates.enumerated() {
      let system = journal.contains(index) ? UInt64(ring) + table : 0
      devices.append(try Self.divide(candidate, shift: shift, systemBlocks: system))
    }
    self.devices = devices
    let segments = devices.reduce(0) { $0 + $1.segmentCount }
    guard segments >= Self.fewestSegments else { throw .tooFewSegments(segments) }
    guard segments <= Self.mostSegments else { throw .tooManySegments(segments) }
    let places = journal.map {
      DevicePlace(device: DeviceIndex(index: UInt16($0)), block: Self.systemAreaBlock)
    }
    stream = JournalStream(
      place: places[0], secondPlace: places.count > 1 ? places[1] : nil, blockCount: ring,
      firstSequence: 1, previousChecksum: 0)
  }

  public var segmentBytes: UInt64 { 1 << (UInt64(segmentShift) + 12) }
  public var segmentCount: UInt64 { devices.reduce(0) { $0 + $1.segmentCount } }

  /// The lines of the segment table of the new pool: every segment is free.
  public func segments() -> [SegmentEntry] {
    var entries: [SegmentEntry] = []
    entries.reserveCapacity(Int(segmentCount))
    for (index, device) in devices.enumerated() {
      for i in 0..<device.segmentCount {
        entries.append(
          SegmentEntry(
            place: DevicePlace(
              device: DeviceIndex(index: UInt16(index)),
              block: device.firstSegmentBlock + i << UInt64(segmentShift))))
      }
    }
    return entries
  }

  // MARK: Parts

  private static let systemAreaBlock = FormatConstants.systemAreaOffset >> 12

  private static func segmentShift(
    poolBytes: UInt64, chosen: UInt64?
  ) throws(PoolLayoutError) -> UInt8 {
    let smallest = UInt64(1) << (UInt64(FormatConstants.smallestSegmentShift) + 12)
    let largest = UInt64(1) << (UInt64(FormatConstants.largestSegmentShift) + 12)
    if let chosen {
      guard chosen >= smallest, chosen <= largest, chosen.nonzeroBitCount == 1 else {
        throw .badSegmentSize(chosen)
      }
      return UInt8(chosen.trailingZeroBitCount - 12)
    }
    var shift = FormatConstants.largestSegmentShift
    while shift > FormatConstants.smallestSegmentShift
      && UInt64(1) << (UInt64(shift) + 12) > poolBytes / 256
    {
      shift -= 1
    }
    return shift
  }

  /// The two largest devices, the larger one first; of equal ones the first.
  private static func journalDevices(_ candidates: [Candidate]) -> [Int] {
    let bySize = candidates.indices.sorted {
      (candidates[$1].sizeBytes, $0) < (candidates[$0].sizeBytes, $1)
    }
    return Array(bySize.prefix(2))
  }

  private static func ringBlocks(
    _ poolBytes: UInt64, _ devices: [Candidate], _ options: Options
  ) throws(PoolLayoutError) -> UInt32 {
    if let chosen = options.journalBlocks {
      guard chosen >= FormatConstants.minimumJournalBlocks else {
        throw .journalTooSmall(blocks: chosen)
      }
      return chosen
    }
    let wanted = min(max(poolBytes / 64, 4 << 20), 256 << 20)
    // A small device beside a large one must not be all journal.
    let smaller = devices.map(\.sizeBytes).min() ?? 0
    return UInt32(min(wanted, max(smaller / 4, 1 << 20)) >> 12)
  }

  /// Two whole images of the segment table, and a few blocks to spare.
  private static func tableBlocks(segmentsAtMost segments: UInt64) -> UInt64 {
    var pages: UInt64 = 0
    var level =
      (segments + UInt64(FormatConstants.segmentsPerPage) - 1)
      / UInt64(FormatConstants.segmentsPerPage)
    while true {
      pages += level
      if level <= 1 { break }
      level =
        (level + UInt64(FormatConstants.systemPointersPerPage) - 1)
        / UInt64(FormatConstants.systemPointersPerPage)
    }
    return 2 * pages + 16
  }

  private static func divide(
    _ candidate: Candidate, shift: UInt8, systemBlocks: UInt64
  ) throws(PoolLayoutError) -> Device {
    let segment = UInt64(1) << UInt64(shift)
    let systemEnd = systemAreaBlock + systemBlocks
    let first = (systemEnd + segment - 1) / segment * segment
    let end = (candidate.sizeBytes >> 12) / segment * segment
    guard end > first else {
      throw .deviceTooSmall(candidate.name, minimumBytes: (first + segment) << 12)
    }
    let range = SystemRange(firstBlock: systemAreaBlock, blockCount: first - systemAreaBlock)
    return Device(
      systemRanges: systemBlocks == 0 ? [] : [range], firstSegmentBlock: first,
      segmentCount: (end - first) / segment)
  }
}

/// Why devices cannot become a pool as asked.
public enum PoolLayoutError: Error, Hashable, Sendable, CustomStringConvertible {
  case noDevices
  case tooManyDevices(Int)
  case poolTooSmall(UInt64)
  case poolTooLarge
  case deviceTooSmall(String, minimumBytes: UInt64)
  /// Not a power of two from 64 KiB to 64 MiB.
  case badSegmentSize(UInt64)
  case journalTooSmall(blocks: UInt32)
  case tooFewSegments(UInt64)
  case tooManySegments(UInt64)

  /// What 40 bits of 4 KiB blocks address.
  public static let largestPoolBytes: UInt64 = 1 << 52

  public var description: String {
    switch self {
    case .noDevices: "a pool needs at least one device"
    case .tooManyDevices(let count):
      "\(count) devices are too many: a pool has at most \(FormatConstants.maximumMembers)"
    case .poolTooSmall(let bytes):
      "the devices have \(bytes) bytes together: a pool needs at least 32 MiB"
    case .poolTooLarge: "the devices are larger than 4 PiB together: leave some out"
    case .deviceTooSmall(let name, let minimum):
      "device \(name) is too small: it needs at least \(minimum) bytes in this pool, "
        + "or a smaller segment size"
    case .badSegmentSize(let bytes):
      "segments cannot be \(bytes) bytes large: choose a power of two from 64 KiB to 64 MiB"
    case .journalTooSmall(let blocks):
      "a journal of \(blocks) blocks is too small: it needs at least "
        + "\(FormatConstants.minimumJournalBlocks)"
    case .tooFewSegments(let count):
      "only \(count) segments fit: a pool needs at least \(PoolLayout.fewestSegments); "
        + "choose a smaller segment size or larger devices"
    case .tooManySegments(let count):
      "\(count) segments are too many: choose a larger segment size"
    }
  }
}
