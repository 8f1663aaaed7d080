import BlockIO
import DiskFormat
import DiskSimulation
import PoolInspection
import StorageUnits
import Testing

/// A repair mends what can be mended without guessing, changes nothing else, and may be cut by a
/// crash anywhere.
@Suite struct PoolRepairTests {
  private func bytes(_ lab: DamageLab) -> [[UInt8]] {
    lab.devices.map { $0.contents(at: DeviceByteOffset(0), count: Int($0.sizeBytes)) }
  }

  /// Repairs, and expects a clean pool with the contents that it had.
  private func expectMended(
    _ lab: DamageLab, _ contents: OpenedContents, _ comment: String,
    _ isExpected: (PoolRepair.Action) -> Bool
  ) throws {
    let repair = PoolRepair(devices: lab.devices)
    #expect(!repair.actions.isEmpty, "\(comment)")
    let isAsExpected = repair.actions.allSatisfy(isExpected)
    #expect(isAsExpected, "\(comment): \(repair.actions)")
    try repair.perform()
    #expect(PoolInspector.inspect(devices: lab.devices).findings == [], "\(comment)")
    #expect(try OpenedContents(of: lab.devices) == contents, "\(comment)")
  }

  // MARK: Copies

  @Test(arguments: DamagedPool.allCases)
  func everyBadCopyIsWrittenAnewFromTheGoodOne(pool: DamagedPool) throws {
    let lab = try pool.makeLab()
    let contents = try OpenedContents(of: lab.devices)
    let before = bytes(lab)
    for (i, part) in lab.parts.enumerated() where part.places.count == 2 {
      for copy in 0..<2 {
        var bad = part.bytes
        bad[part.bytes.count / 2 + 5] ^= 0x40
        lab.apply(lab.raw(i, copy: copy, bad))
        try expectMended(lab, contents, "\(part.name), copy \(copy)") {
          if case .copy = $0 { true } else { false }
        }
        #expect(bytes(lab) == before, "\(part.name), copy \(copy)")
      }
    }
  }

  @Test func allBadCopiesAreMendedTogether() throws {
    let lab = try DamagedPool.real.makeLab()
    let contents = try OpenedContents(of: lab.devices)
    let before = bytes(lab)
    for (i, part) in lab.parts.enumerated() where part.places.count == 2 {
      lab.apply(lab.raw(i, copy: i % 2, [UInt8](repeating: 0xA5, count: part.bytes.count)))
    }
    try expectMended(lab, contents, "all") { if case .copy = $0 { true } else { false } }
    #expect(bytes(lab) == before)
  }

  // MARK: Counts

  /// Every count of every page and image, too low and too high: by part, the bytes of the damage.
  private func countDamage(_ lab: DamageLab) -> [(name: String, damage: DamageLab.Damage)] {
    var all: [(name: String, damage: DamageLab.Damage)] = []
    for (i, part) in lab.parts.enumerated()
    where part.kind == .countPage || part.kind == .countImage {
      let counts = min(part.bytes.count / 4096 * 1024, 1 << Int(lab.segmentShift))
      for k in 0..<counts {
        let at = k / 1024 * 4096 + 64 + k % 1024 * 3
        let isUsable = part.kind == .countPage ? k < counts / 16 : k >= 2
        guard isUsable else { continue }
        for value in [0, 1, 2, 0xFFFFFF] as [UInt32] {
          var bytes = part.bytes
          for b in 0..<3 { bytes[at + b] = UInt8(truncatingIfNeeded: value >> UInt32(8 * b)) }
          guard bytes != part.bytes else { continue }
          all.append(("\(part.name), count \(k) is \(value)", lab.mended(i, bytes)))
        }
      }
    }
    return all
  }

  @Test(arguments: DamagedPool.allCases)
  func everyWrongCountIsCorrected(pool: DamagedPool) throws {
    let lab = try pool.makeLab()
    let contents = try OpenedContents(of: lab.devices)
    let sound = lab.devices.map { $0.snapshot() }
    for (name, damage) in countDamage(lab) {
      lab.apply(damage)
      try expectMended(lab, contents, "\(pool), \(name)") {
        if case .recount(let raised, let lowered) = $0 { raised + lowered == 1 } else { false }
      }
      for (device, state) in zip(lab.devices, sound) { device.restore(state) }
    }
  }

  @Test func countsThatCannotBeReadAreRecounted() throws {
    for pool in DamagedPool.allCases {
      let lab = try pool.makeLab()
      let contents = try OpenedContents(of: lab.devices)
      let sound = lab.devices.map { $0.snapshot() }
      for (i, part) in lab.parts.enumerated()
      where part.kind == .countPage || part.kind == .countImage {
        lab.apply(lab.raw(i, copy: nil, [UInt8](repeating: 0, count: part.bytes.count)))
        try expectMended(lab, contents, part.name) {
          if case .recount = $0 { true } else { false }
        }
        for (device, state) in zip(lab.devices, sound) { device.restore(state) }
      }
    }
  }

  @Test func aRepairThatIsCutAnywhereCanBeRepeated() throws {
    let lab = try DamagedPool.built.makeLab()
    let contents = try OpenedContents(of: lab.devices)
    let page = try #require(lab.parts.firstIndex { $0.kind == .countPage })
    var bytes = lab.parts[page].bytes
    bytes[64] += 1
    bytes[64 + 3] = 0
    lab.apply(lab.mended(page, bytes))
    let leaf = try #require(lab.parts.firstIndex { $0.kind == .map })
    lab.apply(lab.raw(leaf, copy: 1, [UInt8](repeating: 1, count: 4096)))
    let damaged = lab.devices.map { $0.snapshot() }
    var finished = false
    var cut = 0
    while !finished {
      for kept in 0..<4 as Range<UInt64> {
        for (device, state) in zip(lab.devices, damaged) { device.restore(state) }
        let repair = PoolRepair(devices: lab.devices)
        let point = CrashPoint(limit: cut)
        for device in lab.devices { device.crashPoint = point }
        do throws(RepairError) {
          try repair.perform()
          finished = true
        } catch { #expect(point.isReached) }
        // Of what was not flushed, a power cut keeps some.
        for device in lab.devices { device.crashPoint = CrashPoint() }
        var chooser = SeededCrash(seed: UInt64(cut) * 4 + kept)
        for device in lab.devices { device.powerCut(choosing: &chooser) }
        try PoolRepair(devices: lab.devices).perform()
        #expect(PoolInspector.inspect(devices: lab.devices).findings == [], "cut \(cut), \(kept)")
        #expect(try OpenedContents(of: lab.devices) == contents, "cut \(cut), \(kept)")
      }
      cut += 1
    }
    #expect(cut > 8)
  }

  // MARK: What cannot be mended

  /// Damage in every copy of everything that is no count.
  @Test(arguments: DamagedPool.allCases)
  func whatCannotBeMendedChangesNothing(pool: DamagedPool) throws {
    let lab = try pool.makeLab()
    for (i, part) in lab.parts.enumerated() {
      switch part.kind {
      case .countPage, .countImage, .superblock, .oldSuperblock, .journal: continue
      case .segmentTable, .map, .mapLeaf, .catalogue, .doomed, .holds: break
      }
      var bad = part.bytes
      bad[100] ^= 2
      let damage = lab.raw(i, copy: nil, bad)
      lab.apply(damage)
      let before = bytes(lab)
      let repair = PoolRepair(devices: lab.devices)
      #expect(repair.actions == [], "\(part.name)")
      #expect(repair.report.severity == .damage, "\(part.name)")
      try repair.perform()
      #expect(bytes(lab) == before, "\(part.name)")
      lab.undo(damage)
    }
  }

  /// One volume has a leaf that is lost: its counts stay (nothing is given back that it may name),
  /// and the other volume's damage is mended.
  @Test func oneVolumesDamageDoesNotKeepTheRestFromBeingMended() throws {
    let lab = try DamagedPool.real.makeLab()
    let leaf = try #require(lab.parts.firstIndex { $0.kind == .mapLeaf && !$0.isDoomed })
    lab.apply(lab.raw(leaf, copy: nil, [UInt8](repeating: 7, count: 4096)))
    let image = try #require(lab.parts.firstIndex { $0.kind == .countImage })
    lab.apply(
      lab.raw(image, copy: 0, [UInt8](repeating: 0, count: lab.parts[image].bytes.count)))
    let repair = PoolRepair(devices: lab.devices)
    #expect(repair.actions.count == 1)
    try repair.perform()
    let report = PoolInspector.inspect(devices: lab.devices)
    #expect(report.findings.map(\.problem.code).sorted() == ["invalid", "leaks-not-judged"])
    #expect(report.findings.first?.volumes == [VolumeID(1)])
    #expect(report.findings.first?.volumeBytes?.lowerBound == 0)
  }

  @Test func aSlotWithoutAGoodCopyIsWrittenAnew() throws {
    let lab = try DamagedPool.real.makeLab()
    let contents = try OpenedContents(of: lab.devices)
    let old = try #require(lab.parts.firstIndex { $0.kind == .oldSuperblock })
    lab.apply(lab.raw(old, copy: nil, [UInt8](repeating: 9, count: 8192)))
    try expectMended(lab, contents, "slot") { $0 == .renewSuperblocks }
  }

  @Test func aMemberBehindGetsTheNewestSuperblock() throws {
    let lab = try DamagedPool.real.makeLab()
    let contents = try OpenedContents(of: lab.devices)
    let newest = try #require(lab.parts.lastIndex { $0.kind == .superblock })
    lab.apply(lab.raw(newest, copy: nil, [UInt8](repeating: 0, count: 8192)))
    try expectMended(lab, contents, "behind") {
      $0 == .completeSuperblock(DeviceIndex(index: 1))
    }
  }

  @Test func aPoolWithAForeignOrMissingDeviceIsLeftAlone() throws {
    let lab = try DamagedPool.real.makeLab()
    let part = try #require(lab.parts.firstIndex { $0.kind == .mapLeaf })
    lab.apply(lab.raw(part, copy: 0, [UInt8](repeating: 0, count: 4096)))
    let repair = PoolRepair(devices: [lab.devices[0]])
    #expect(repair.obstacle == .uncertainMembers)
    #expect(repair.actions == [])
    #expect(PoolRepair(devices: []).obstacle == .noTables)
  }
}
