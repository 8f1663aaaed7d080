import DiskFormat
import DiskSimulation
import PoolCore
import PoolInspection
import StorageUnits
import Testing

/// Pools with every structure that there is, to be damaged.
enum DamagedPool: String, CaseIterable, Sendable {
  /// Of `PoolCore`: two devices, a volume of some size, an empty one, a tree that is being dropped.
  case real
  /// Put together by hand: shared nodes, packed layers, a snapshot, a journal with records.
  case built

  func makeLab() throws -> DamageLab {
    let devices: [SimulatedDevice]
    switch self {
    case .built:
      let pool = HandBuiltPool()
      pool.write()
      pool.writeJournal()
      devices = pool.devices
    case .real: devices = try Self.realDevices()
    }
    let report = PoolInspector.inspect(devices: devices)
    #expect(report.findings == [])
    return DamageLab(devices: devices, superblock: try #require(report.superblock))
  }

  private static func realDevices() throws -> [SimulatedDevice] {
    let test = try PoolOnDevices(
      segments: [40, 30], shift: 5,
      bounds: PoolBounds(
        nodeCacheBytes: 256 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 20))
    try test.checkpoint()
    let volume = try #require(try test.create("big", sizeBytes: 1 << 30, uuid: 5))
    _ = try test.create("empty", sizeBytes: 65536, uuid: 6)
    let gone = try #require(try test.create("gone", sizeBytes: 30 << 20, uuid: 7))
    for i in 0..<4 as Range<UInt64> {
      try test.write(volume, VirtualExtent(index: 100 * i), BlockMask(first: 3, count: 5))
      try test.write(gone, VirtualExtent(index: 100 * i), .all)
    }
    try test.provision(volume, VirtualExtent(index: 7), BlockMask(first: 0, count: 1))
    try test.hold(volume, tag: "backup", reason: "not copied yet")
    try test.hold(volume, tag: "x", reason: "")
    try test.checkpoint()
    try test.delete(gone)
    _ = try test.drop()
    try test.checkpoint()
    return test.devices
  }
}

/// Damage in every structure, systematically. The inspection finds it, or it is harmless: the pool
/// opens, and every volume has the same contents.
@Suite struct InspectionDamageTests {
  private func flipped(_ part: DamageLab.Part, _ at: Int) -> [UInt8] {
    var bytes = part.bytes
    bytes[at] ^= 1 << UInt8(at % 8)
    return bytes
  }

  // MARK: Without a word

  /// Of the last block of the journal nothing vouches for its end being there (format, "Known
  /// limit"): damaged in every place, it looks like the end of the log.
  private func isEndOfLog(_ part: DamageLab.Part, _ lab: DamageLab) -> Bool {
    part.kind == .journal && part.name == lab.parts.last?.name
  }

  @Test(arguments: DamagedPool.allCases, 0..<2)
  func aFlippedByteOfEveryCopyIsFoundWhereverItIs(pool: DamagedPool, half: Int) throws {
    let lab = try pool.makeLab()
    for (i, part) in lab.parts.enumerated() where i % 2 == half && !isEndOfLog(part, lab) {
      // The pool that was put together differs in what its nodes hold, not in what they are.
      for at in stride(from: 0, to: part.bytes.count, by: pool == .real ? 1 : 31) {
        let damage = lab.raw(i, copy: nil, flipped(part, at))
        lab.apply(damage)
        let report = PoolInspector.inspect(devices: lab.devices)
        lab.undo(damage)
        // What is left of a superblock in one slot is the one before it, in the other.
        let isSuperblock = part.kind == .superblock || part.kind == .oldSuperblock
        guard isSuperblock ? report.isClean : report.severity != .damage else { continue }
        Issue.record("\(pool), \(part.name), byte \(at): \(report.findings)")
        return
      }
    }
  }

  @Test(arguments: DamagedPool.allCases)
  func everyFlippedByteOfOneCopyIsFoundAndItsGoodCopyServes(pool: DamagedPool) throws {
    let lab = try pool.makeLab()
    for (i, part) in lab.parts.enumerated() where part.places.count == 2 {
      for at in stride(from: i % 31, to: part.bytes.count, by: 31) {
        for copy in 0..<2 {
          let damage = lab.raw(i, copy: copy, flipped(part, at))
          lab.apply(damage)
          let report = PoolInspector.inspect(devices: lab.devices)
          lab.undo(damage)
          let isNoticed = report.findings.map(\.problem) == [.copiesDiffer]
          let location = DeviceLocation(
            position: part.places[copy].device, offset: DeviceByteOffset(part.places[copy].byte))
          guard isNoticed, report.findings.map(\.locations) == [[location]] else {
            Issue.record("\(pool), \(part.name), byte \(at), copy \(copy): \(report.findings)")
            return
          }
        }
      }
    }
  }

  @Test(arguments: DamagedPool.allCases)
  func blocksThatAreGoneOrCutOffAreFound(pool: DamagedPool) throws {
    let lab = try pool.makeLab()
    for (i, part) in lab.parts.enumerated() where part.kind != .oldSuperblock {
      let zeros = [UInt8](repeating: 0, count: part.bytes.count)
      var variants = [zeros, [UInt8](repeating: 0xFF, count: part.bytes.count)]
      for kept in stride(from: 512, to: part.bytes.count, by: 512) {
        variants.append(Array(part.bytes[..<kept]) + Array(zeros[kept...]))
        variants.append(Array(zeros[..<kept]) + Array(part.bytes[kept...]))
      }
      for (number, bytes) in variants.enumerated() where bytes != part.bytes {
        if isEndOfLog(part, lab) { continue }
        let damage = lab.raw(i, copy: nil, bytes)
        lab.apply(damage)
        let report = PoolInspector.inspect(devices: lab.devices)
        lab.undo(damage)
        #expect(!report.isClean, "\(pool), \(part.name), variant \(number)")
      }
    }
  }

  @Test(arguments: DamagedPool.allCases)
  func aDeviceThatWasCutOffIsFound(pool: DamagedPool) throws {
    let lab = try pool.makeLab()
    for (i, device) in lab.devices.enumerated() {
      for size in stride(from: 0, to: device.sizeBytes, by: 256 << 10) {
        let short = SimulatedDevice(name: "short", sizeBytes: size)
        short.restore(device.snapshot())
        var devices = lab.devices
        devices[i] = short
        let report = PoolInspector.inspect(devices: devices)
        #expect(report.severity == .damage, "\(pool), device \(i), \(size) bytes")
      }
    }
  }

  // MARK: With every checksum made right

  /// What stands for nothing else: it may have any value, and only its checksum protects it. By
  /// kind of structure, the bytes of it; of catalogue records, the bytes of a record.
  private func isFree(_ part: DamageLab.Part, _ at: Int) -> Bool {
    switch part.kind {
    // An older superblock is not used while there is a newer one.
    case .oldSuperblock: return true
    case .superblock:
      return [
        16..<40, 72..<76, 112..<120, 122..<124, 128..<136, 144..<172, 176..<178, 180..<184,
        192..<384,
        // Births of the two roots; the length of the system range, as long as all lies in it.
        396..<400, 420..<424, 492..<496, 1672..<1680,
        // Members' last known superblocks.
        1816..<1824, 1864..<1872,
      ].contains { $0.contains(at) }
    case .catalogue:
      guard at >= 64 else { return isFreeInHeader(at) }
      // The family (24), and the root's birth and level (84), of a volume without a map.
      return [
        8..<32, 40..<44, 48..<56, 56..<64, 64..<72, 84..<96, 112..<132, 168..<296,
      ].contains { $0.contains((at - 64) % 448) }
    case .doomed:
      // The record that made the entry is gone with the journal that held it.
      return isFreeInHeader(at) || (64..<72).contains(at) || (92..<96).contains(at)
    case .holds:
      // When it was placed, and the words.
      return isFreeInHeader(at)
        || at >= 64 && [8..<16, 24..<248].contains { $0.contains((at - 64) % 256) }
    case .map:
      // Births: of a pointer that is null, or below the share epoch anyhow. Pointers of a doomed
      // tree to what was dropped are never followed.
      return isFreeInHeader(at) || at >= 64 && (12..<16).contains((at - 64) % 16)
        || part.isDoomed && (64..<80).contains(at)
    case .mapLeaf:
      // Provisioned, and births. What a doomed tree maps is counted nowhere.
      return isFreeInHeader(at) || at >= 64 && (7..<12).contains((at - 64) % 12)
        || part.isDoomed && (5..<12).contains((at - 64) % 12)
    case .segmentTable, .countImage, .countPage: return isFreeInHeader(at)
    case .journal: return (40..<56).contains(at) || (64..<72).contains(at)
    }
  }

  /// Checkpoint that wrote it, birth, entries in use.
  private func isFreeInHeader(_ at: Int) -> Bool { (40..<54).contains(at % 4096) }

  /// Where version 1 keeps nothing that could tell, so that other contents are possible: which kind
  /// a layer is, and where in its extent a packed one starts; what a record of the journal says.
  private func isBeyondProof(_ part: DamageLab.Part, _ at: Int) -> Bool {
    switch part.kind {
    case .mapLeaf:
      at >= 64 && ((at - 64) % 12 == 7 || (at - 64) % 12 == 0 && part.hasPackedLayer(at))
    case .journal: at >= 96
    default: false
    }
  }

  /// Whether the word at `at` is part of something, rather than reserved or unused.
  private func isUsed(_ part: DamageLab.Part, _ at: Int) -> Bool {
    if part.kind == .segmentTable && at >= 64 && part.name.hasSuffix("leaf") {
      // One line of each class stands for the others.
      let line = (at - 64) / 64
      let classes = (0..<63).map { part.bytes[64 + 64 * $0 + 16] }
      return classes.firstIndex(of: classes[line]) == line
    }
    let near = part.bytes[max(0, at - 24)..<min(part.bytes.count, at + 28)]
    return at % 4096 < 64 || near.contains { $0 != 0 }
  }

  /// Values for the word at `at`: zero, all ones, and each bit flipped; all ones where nothing is.
  private func variants(_ part: DamageLab.Part, _ at: Int) -> [[UInt8]] {
    let old = part.bytes[at..<at + 4].enumerated().reduce(UInt32(0)) {
      $0 | UInt32($1.element) << UInt32(8 * $1.offset)
    }
    let values =
      isUsed(part, at) ? [0, UInt32.max] + (0..<32).map { old ^ 1 << UInt32($0) } : [UInt32.max]
    return Set(values).filter { $0 != old }.sorted().map { value in
      var bytes = part.bytes
      DamageLab.store(value, &bytes, at)
      return bytes
    }
  }

  @Test(arguments: DamagedPool.allCases, 0..<2)
  func everyFieldIsFoundByItsMeaningOrHarmless(pool: DamagedPool, half: Int) throws {
    let lab = try pool.makeLab()
    let contents = try OpenedContents(of: lab.devices)
    for (i, part) in lab.parts.enumerated() where i % 2 == half && !isEndOfLog(part, lab) {
      // What the two pools have alike is damaged in one of them.
      let isAlike =
        [.superblock, .oldSuperblock, .segmentTable, .countImage, .countPage].contains(part.kind)
      if pool == .built && isAlike { continue }
      for at in stride(from: 0, to: part.bytes.count, by: 4)
      where !part.checksums.contains(where: { $0.at == at }) {
        for bytes in variants(part, at) {
          let changed = zip(part.bytes, bytes).enumerated().filter { $1.0 != $1.1 }.map(\.offset)
          let damage = lab.mended(i, bytes)
          lab.apply(damage)
          defer { lab.undo(damage) }
          guard PoolInspector.inspect(devices: lab.devices).isClean else { continue }
          let word = bytes[at..<at + 4].map { String($0, radix: 16) }
          let what = "\(pool), \(part.name), byte \(at): \(word)"
          if changed.allSatisfy({ isBeyondProof(part, $0) }) { continue }
          guard changed.allSatisfy({ isFree(part, $0) || isBeyondProof(part, $0) }) else {
            Issue.record("not found: \(what)")
            continue
          }
          do {
            let opened = try OpenedContents(of: lab.devices)
            if opened != contents { Issue.record("other contents: \(what)") }
          } catch { Issue.record("does not open: \(what): \(error)") }
        }
      }
    }
  }
}
