public import BlockIO
import DiskFormat
public import StorageUnits

/// Shows structures of a pool, sound or damaged, from its devices alone. Reads only. What cannot be
/// decoded is shown with its problem, and what has a wrong checksum as it would be read without.
public final class PoolDump {
  public enum Structure: Hashable, Sendable {
    case superblock, members, segments, catalogue, journal, doomed, holds, owed
    case volume(String)
    case node(PoolAddress)
    case counts(SegmentIndex)
  }

  public enum Problem: Error, Hashable, Sendable {
    /// Nothing says what the pool is: only its superblocks can be looked at.
    case noSuperblock
    case noSegmentTable
    case noSuchVolume(String)
    /// It is not in what can be read of the catalogue.
    case catalogueDamaged(String)
    case noSuchSegment(SegmentIndex)
    case noSuchAddress(PoolAddress)

    public var text: String {
      switch self {
      case .noSuperblock: "no superblock can be used"
      case .noSegmentTable: "the segment table cannot be read"
      case .noSuchVolume(let name): "there is no volume '\(name)'"
      case .catalogueDamaged(let name):
        "volume '\(name)' is not in what can be read of the catalogue, which is damaged"
      case .noSuchSegment(let segment): "there is no segment \(segment.index) with counts"
      case .noSuchAddress(let address): "pool address \(address.block) lies nowhere"
      }
    }
  }

  let inspector: PoolInspector
  private let chosen: Superblock?

  public init(devices: [any SynchronousDevice]) {
    inspector = PoolInspector(devices: devices)
    chosen = inspector.selectSuperblock()
    inspector.report.deviceNames = devices.map(\.name)
    inspector.report.superblock = chosen
    inspector.report.memberPositions = inspector.members.mapValues(\.position)
    if let chosen { hasTable = inspector.readSegmentTable(chosen) }
    ofTables = inspector.report.findings
  }

  private var hasTable = false
  /// What was found while superblocks and segment table were read.
  private var ofTables: [InspectionFinding] = []

  public func dump(_ structure: Structure) throws(Problem) -> DumpValue {
    // A node that was read before would count as named twice.
    inspector.nodes = [:]
    inspector.report.findings = ofTables
    if structure == .superblock { return superblocks() }
    guard let chosen else { throw .noSuperblock }
    switch structure {
    case .superblock: return superblocks()
    case .members: return members(chosen)
    case .journal: return journal(chosen)
    case .segments: return segments()
    case .catalogue, .doomed, .holds, .owed, .volume, .node, .counts: break
    }
    guard hasTable else { throw .noSegmentTable }
    switch structure {
    case .catalogue:
      return .fields([
        "volumes": .list(catalogue(chosen).map(Self.volume)), "problems": problems(),
      ])
    case .doomed: return doomed(chosen)
    case .holds: return holds(chosen)
    case .owed: return owed(chosen)
    case .volume(let name): return try volume(name, chosen)
    case .node(let address): return try node(address, chosen)
    case .counts(let segment): return try counts(segment, chosen)
    case .superblock, .members, .journal, .segments: return .list([])
    }
  }

  // MARK: Superblocks and members

  private func superblocks() -> DumpValue {
    var copies: [DumpValue] = []
    for (position, device) in inspector.given.enumerated() {
      for (slot, offsets) in FormatConstants.superblockOffsets.enumerated() {
        for (copy, offset) in offsets.enumerated() {
          var fields: [DumpValue.Field] = [
            .init("device", .text(inspector.report.deviceName(at: position))),
            .init("slot", .number(slot)), .init("copy", .number(copy)),
            .init("offsetBytes", .number(offset)),
          ]
          fields += superblock(on: device, at: DeviceByteOffset(offset), slot: slot)
          copies.append(.object(fields))
        }
      }
    }
    return .fields(["superblocks": .list(copies)])
  }

  private func superblock(
    on device: any SynchronousDevice, at offset: DeviceByteOffset, slot: Int
  ) -> [DumpValue.Field] {
    do throws(InspectionRefusal) {
      let blocks = FormatConstants.superblockBytes / FormatConstants.blockBytes
      let buffer = try inspector.read(device, at: offset, blockCount: blocks)
      if buffer.isZero { return [.init("problem", "it was never written")] }
      do throws(FormatError) {
        let found = try unsafe Superblock(decoding: buffer.bytes.bytes)
        let isInSlot = found.sequence % 2 == UInt64(slot)
        return (isInSlot ? [] : [.init("problem", "it belongs into the other slot")])
          + Self.fields(of: found)
      } catch {
        buffer.mendChecksum(at: 12)
        let fields = (try? unsafe Superblock(decoding: buffer.bytes.bytes)).map(Self.fields) ?? []
        return [.init("problem", .text(error.words))] + fields
      }
    } catch { return [.init("problem", .text(error.problem.text(in: inspector.report)))] }
  }

  static func fields(of superblock: Superblock) -> [DumpValue.Field] {
    let roots: [DumpValue.Field] = [
      .init("catalogue", root(superblock.catalogue)), .init("doomed", root(superblock.doomed)),
      .init("versionTree", root(superblock.versionTree)),
      .init("bookmarks", root(superblock.bookmarks)),
      .init("holds", root(superblock.holds)),
      .init("owed", root(superblock.owed)),
      .init("trashExpirySeconds", .number(superblock.settings.trashExpirySeconds)),
      .init(
        "segmentTable",
        .fields([
          "level": .number(superblock.segmentTable.level),
          "page": superblock.segmentTable.pointer.map(pointer) ?? "none",
        ])),
    ]
    let scalars: [(String, UInt64)] = [
      ("sequence", superblock.sequence), ("checkpointSequence", superblock.checkpointSequence),
      ("checkpointRecord", superblock.checkpointRecord.number),
      ("logGeneration", superblock.logGeneration), ("logNonce", superblock.logNonce),
      ("applyVersion", UInt64(superblock.applyVersion)),
      ("shareEpoch", UInt64(superblock.shareEpoch.number)),
      ("segmentShift", UInt64(superblock.segmentShift)),
      ("segmentCount", UInt64(superblock.segmentCount)),
      ("allocationRunExtents", UInt64(superblock.allocationRunExtents)),
      ("nextVolumeID", superblock.nextVolumeID), ("fenceEpoch", superblock.fenceEpoch),
      ("dirtyNodeBytes", superblock.bounds.dirtyNodeBytes),
      ("countDeltaBytes", superblock.bounds.countDeltaBytes),
      ("featuresMayIgnore", superblock.features.mayIgnore),
      ("featuresClearBeforeWrite", superblock.features.clearBeforeWrite),
    ]
    let opening = superblock.openedBy
    return [
      .init("pool", .text(superblock.poolName)),
      .init("poolUUID", .text(superblock.poolUUID.description)),
      .init("deviceUUID", .text(superblock.deviceUUID.description)),
      .init("deviceIndex", .number(superblock.device.index)),
      .init("isOpen", .flag(superblock.isOpen)),
    ] + scalars.map { .init($0.0, .number($0.1)) } + roots + [
      .init(
        "openedBy",
        .fields([
          "host": .text(opening.host), "process": .number(opening.process),
          "at": .number(opening.at),
        ])),
      .init("streams", .list(superblock.streams.map(stream))),
      .init("systemRanges", .list(superblock.systemRanges.map(range))),
      .init("members", .list(superblock.members.map { member($0, path: nil) })),
    ]
  }

  private func members(_ chosen: Superblock) -> DumpValue {
    .fields([
      "pool": .text(chosen.poolName), "poolUUID": .text(chosen.poolUUID.description),
      "superblockSequence": .number(chosen.sequence),
      "members": .list(
        chosen.members.map {
          Self.member(
            $0, path: inspector.members[$0.index].map { inspector.given[$0.position].name },
            own: inspector.members[$0.index]?.superblock.sequence)
        }),
    ])
  }

  private static func member(
    _ member: PoolMember, path: String?, own: UInt64? = nil
  ) -> DumpValue {
    .fields([
      "index": .number(member.index.index), "uuid": .text(member.uuid.description),
      "state": .text(member.state == .active ? "active" : "expelled"),
      "sizeBytes": .number(member.sizeBytes),
      "superblockSequence": .number(member.superblockSequence),
      "path": path.map { .text($0) }, "ownSuperblockSequence": own.map { .number($0) },
    ])
  }

  // MARK: Parts

  static func place(_ place: DevicePlace) -> DumpValue {
    .text("\(place.device.index):\(place.block)")
  }

  static func pointer(_ pointer: SystemPointer) -> DumpValue {
    .fields([
      "place": place(pointer.place), "secondPlace": pointer.secondPlace.map(place),
      "checksum": .hexadecimal(pointer.checksum),
    ])
  }

  static func root(_ root: TreeRoot) -> DumpValue {
    guard !root.isNone else { return "none" }
    return .fields([
      "address": .number(root.pointer.address.block), "level": .number(root.level),
      "checksum": .hexadecimal(root.pointer.checksum), "birth": .number(root.pointer.birth.number),
    ])
  }

  private static func stream(_ stream: JournalStream) -> DumpValue {
    .fields([
      "place": place(stream.place), "secondPlace": stream.secondPlace.map(place),
      "blockCount": .number(stream.blockCount), "firstSequence": .number(stream.firstSequence),
      "previousChecksum": .hexadecimal(stream.previousChecksum),
    ])
  }

  private static func range(_ range: SystemRange) -> DumpValue {
    .fields(["firstBlock": .number(range.firstBlock), "blockCount": .number(range.blockCount)])
  }
}

extension BlockBuffer {
  /// Makes the checksum of the whole buffer, stored at byte `field`, right.
  func mendChecksum(at field: Int) {
    unsafe bytes.storeBytes(of: 0, toByteOffset: field, as: UInt32.self)
    let checksum = unsafe Checksum.crc32c(UnsafeRawBufferPointer(bytes))
    unsafe bytes.storeBytes(of: checksum.littleEndian, toByteOffset: field, as: UInt32.self)
  }
}
