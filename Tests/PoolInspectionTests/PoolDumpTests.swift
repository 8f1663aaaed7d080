import DiskFormat
import DiskSimulation
import Foundation
import PoolInspection
import StorageUnits
import Testing

/// Every structure is shown, sound and damaged.
@Suite struct PoolDumpTests {
  private static let structures: [PoolDump.Structure] =
    [
      .superblock, .members, .segments, .catalogue, .journal, .doomed, .volume("one"),
      .volume("snapshot"), .volume("empty"), .counts(SegmentIndex(index: 0)),
      .counts(SegmentIndex(index: 1)), .counts(SegmentIndex(index: 25)),
    ] + (1...13).map { PoolDump.Structure.node(PoolAddress(block: $0)) }

  private func written() -> HandBuiltPool {
    let pool = HandBuiltPool()
    pool.write()
    pool.writeJournal()
    return pool
  }

  private func items(_ value: DumpValue?) -> [DumpValue] {
    guard case .list(let items) = value else { return [] }
    return items
  }

  @Test func everyStructureIsShown() throws {
    let dump = PoolDump(devices: written().devices)
    let superblocks = items(try dump.dump(.superblock)["superblocks"])
    #expect(superblocks.count == 8)
    #expect(superblocks.allSatisfy { $0["problem"] == nil && $0["pool"] == .text("hand") })
    #expect(items(try dump.dump(.members)["members"]).map { $0["path"] } == ["first", "second"])
    let segments = items(try dump.dump(.segments)["segments"])
    #expect(segments.count == 32)
    #expect(segments[24]["class"] == "lent" && segments[24]["place"] == nil)
    #expect(segments[0]["secondPlace"] == "1:512")
    let volumes = items(try dump.dump(.catalogue)["volumes"])
    #expect(volumes.map { $0["name"] } == ["one", "snapshot", "empty"])
    let volume = try dump.dump(.volume("one"))
    #expect(items(volume["nodes"]).map { $0["address"] } == [6, 7, 8].map { .integer($0) })
    #expect(items(volume["entries"]).map { $0["extent"] } == [0, 2, 3, 168].map { .integer($0) })
    #expect(
      items(volume["entries"])[3]["upper"] == "96 mask 0xf birth 4"
        && items(volume["entries"])[1]["upper"] == "80 mask 0x7 birth 1 packed")
    let counts = items(try dump.dump(.counts(SegmentIndex(index: 25)))["counts"])
    #expect(counts.map { $0["extent"] } == [.integer(100), .integer(101)])
    #expect(counts.map { $0["count"] } == [.integer(2), .integer(1)])
    let doomed = items(try dump.dump(.doomed)["doomed"])
    #expect(doomed.map { $0["cursorEnd"] } == [.integer(168)])
    let blocks = items(try dump.dump(.journal)["blocks"])
    #expect(blocks.count == 6)
    #expect(items(blocks[0]["records"]).map { $0["type"] } == ["createVolume", "map"])
    let node = items(try dump.dump(.node(PoolAddress(block: 9)))["copies"])
    #expect(node.count == 2)
    #expect(node.allSatisfy { $0["type"] == "map" && items($0["contents"]).count == 2 })
  }

  @Test func whatIsDamagedIsShownWithItsProblem() throws {
    let pool = written()
    for place in pool.places(ofBlock: 8) {
      pool.devices[Int(place.device.index)].rot(
        at: DeviceByteOffset(place.byteOffset.bytes + 64 + 5), bit: 6)
    }
    pool.devices[0].rot(at: DeviceByteOffset(192 << 10 + 130), bit: 1)
    pool.devices[1].rot(at: DeviceByteOffset(257 << 12 + 66), bit: 1)
    let dump = PoolDump(devices: pool.devices)
    let copies = items(try dump.dump(.node(PoolAddress(block: 8)))["copies"])
    let problem = DumpValue.text("the checksum of the table node is wrong")
    #expect(copies.allSatisfy { $0["problem"] == problem })
    #expect(items(copies[0]["contents"])[0]["upper"] == "96 mask 0x4f birth 4")
    let nodes = items(try dump.dump(.volume("one"))["nodes"])
    #expect(nodes.map { $0["problems"] == nil } == [true, true, false])
    let superblocks = items(try dump.dump(.superblock)["superblocks"])
    #expect(superblocks.count { $0["problem"] != nil } == 1)
    #expect(superblocks.allSatisfy { $0["sequence"] != nil })
    let blocks = items(try dump.dump(.journal)["blocks"])
    #expect(blocks.count { $0["problem"] != nil } == 1)
  }

  @Test func whatIsNotThereIsSaid() throws {
    let dump = PoolDump(devices: written().devices)
    #expect(throws: PoolDump.Problem.noSuchVolume("none")) { try dump.dump(.volume("none")) }
    #expect(throws: PoolDump.Problem.noSuchSegment(SegmentIndex(index: 3))) {
      try dump.dump(.counts(SegmentIndex(index: 3)))
    }
    for block in [0, 1 << 30, 24 * 64] as [UInt64] {
      #expect(throws: PoolDump.Problem.noSuchAddress(PoolAddress(block: block))) {
        try dump.dump(.node(PoolAddress(block: block)))
      }
    }
    let blank = PoolDump(devices: [SimulatedDevice(name: "blank", sizeBytes: 8 << 20)])
    #expect(items(try blank.dump(.superblock)["superblocks"]).count == 4)
    #expect(throws: PoolDump.Problem.noSuperblock) { try blank.dump(.segments) }
  }

  /// JSON has the same fields as the text has, and parses.
  @Test func bothFormsAreComplete() throws {
    let dump = PoolDump(devices: written().devices)
    for structure in Self.structures {
      let value = try dump.dump(structure)
      let parsed = try JSONSerialization.jsonObject(with: JSONEncoder().encode(value))
      #expect(parsed is [String: Any], "\(structure)")
      #expect(!value.lines.isEmpty, "\(structure)")
      #expect(value.lines.allSatisfy { !$0.contains("\n") }, "\(structure)")
    }
  }

  /// Rot in every structure, with and without a right checksum: nothing traps.
  @Test(arguments: DamagedPool.allCases)
  func damageAnywhereCanBeLookedAt(pool: DamagedPool) throws {
    let lab = try pool.makeLab()
    var random = SeededRandom(seed: 8)
    for (i, part) in lab.parts.enumerated() {
      for round in 0..<12 {
        var bytes = part.bytes
        for _ in 0..<1 + random.below(4) {
          let at = random.oneIn(2) ? random.below(640) : random.below(bytes.count)
          bytes[at % bytes.count] = random.oneIn(3) ? 0xFF : UInt8(random.below(256))
        }
        let damage = round % 2 == 0 ? lab.mended(i, bytes) : lab.raw(i, copy: nil, bytes)
        lab.apply(damage)
        let dump = PoolDump(devices: lab.devices)
        for structure in Self.structures { _ = try? dump.dump(structure).lines }
        lab.undo(damage)
      }
    }
  }
}
