import DiskFormat
import StorageUnits
import Testing
import VolumeEngine

@Suite struct OpeningLayoutTests {
  static let kib: UInt64 = 1 << 10
  static let mib: UInt64 = 1 << 20
  static let gib: UInt64 = 1 << 30
  static let tib: UInt64 = 1 << 40

  private func candidates(_ sizes: [UInt64]) -> [PoolLayout.Candidate] {
    sizes.enumerated().map { PoolLayout.Candidate(name: "d\($0.offset)", sizeBytes: $0.element) }
  }

  struct Expected: Sendable {
    var sizes: [UInt64]
    var segmentBytes: UInt64
    var ringBytes: UInt64
    /// Which devices have the journal, the first place first.
    var journal: [UInt16]
    var segments: [UInt64]
  }

  static let table: [Expected] = [
    Expected(
      sizes: [32 * mib], segmentBytes: 128 * kib, ringBytes: 4 * mib, journal: [0],
      segments: [215]),
    Expected(
      sizes: [32 * mib + 4096], segmentBytes: 128 * kib, ringBytes: 4 * mib, journal: [0],
      segments: [215]),
    Expected(
      sizes: [16 * mib, 16 * mib], segmentBytes: 128 * kib, ringBytes: 4 * mib,
      journal: [0, 1], segments: [87, 87]),
    Expected(
      sizes: [1 * gib], segmentBytes: 4 * mib, ringBytes: 16 * mib, journal: [0],
      segments: [251]),
    Expected(
      sizes: [1 * gib, 2 * gib], segmentBytes: 8 * mib, ringBytes: 48 * mib, journal: [1, 0],
      segments: [121, 249]),
    Expected(
      sizes: [16 * gib], segmentBytes: 64 * mib, ringBytes: 256 * mib, journal: [0],
      segments: [251]),
    Expected(
      sizes: [16 * mib, 40 * mib, 24 * mib], segmentBytes: 256 * kib, ringBytes: 4 * mib,
      journal: [1, 2], segments: [60, 139, 75]),
    Expected(
      sizes: [1 * tib, 4 * tib, 2 * tib], segmentBytes: 64 * mib, ringBytes: 256 * mib,
      journal: [1, 2], segments: [16383, 65531, 32763]),
    Expected(
      sizes: [512 * mib, 1 * tib], segmentBytes: 64 * mib, ringBytes: 128 * mib,
      journal: [1, 0], segments: [5, 16381]),
  ]

  @Test(arguments: table) func theLayoutIsTheTable(expected: Expected) throws {
    let layout = try PoolLayout(candidates(expected.sizes))
    #expect(layout.segmentBytes == expected.segmentBytes)
    #expect(UInt64(layout.stream.blockCount) * 4096 == expected.ringBytes)
    #expect(layout.stream.place.device.index == expected.journal[0])
    #expect(
      layout.stream.secondPlace?.device.index
        == (expected.journal.count > 1 ? expected.journal[1] : nil))
    #expect(layout.devices.map(\.segmentCount) == expected.segments)
  }

  /// Whatever the sizes: nothing overlaps, everything is aligned and inside, two images of the
  /// segment table fit beside the journal.
  @Test func everyLayoutHoldsWhatItMust() throws {
    var sizes: [[UInt64]] = Self.table.map(\.sizes)
    var state: UInt64 = 9
    for _ in 0..<300 {
      var some: [UInt64] = []
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      for i in 0..<(1 + state >> 60) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 &+ i
        some.append((state >> 33 % (1 << 20)) << (12 + state >> 59 % 16))
      }
      sizes.append(some)
    }
    for some in sizes {
      guard let layout = try? PoolLayout(candidates(some)) else { continue }
      let segment = layout.segmentBytes >> 12
      var seen = Set<DevicePlace>()
      for entry in layout.segmentCount <= 100_000 ? layout.segments() : [] {
        let place = try #require(entry.place)
        #expect(place.block % segment == 0)
        #expect(seen.insert(place).inserted)
        #expect((place.block + segment) << 12 <= some[Int(place.device.index)])
        #expect(place.block >= layout.devices[Int(place.device.index)].firstSegmentBlock)
      }
      for (index, device) in layout.devices.enumerated() {
        let end = device.systemRanges.map { $0.firstBlock + $0.blockCount }.max() ?? 256
        #expect(end <= device.firstSegmentBlock)
        let hasJournal =
          layout.stream.place.device.index == UInt16(index)
          || layout.stream.secondPlace?.device.index == UInt16(index)
        #expect(hasJournal == !device.systemRanges.isEmpty)
        guard hasJournal else { continue }
        let pages = Self.tablePages(layout.segmentCount)
        let room = device.systemRanges.reduce(0) { $0 + $1.blockCount }
        #expect(room >= UInt64(layout.stream.blockCount) + 2 * pages)
      }
    }
  }

  private static func tablePages(_ segments: UInt64) -> UInt64 {
    var level = (segments + 62) / 63
    var pages = level
    while level > 1 {
      level = (level + 167) / 168
      pages += level
    }
    return pages
  }

  @Test func optionsAreObeyed() throws {
    let layout = try PoolLayout(
      candidates([Self.gib]),
      options: PoolLayout.Options(segmentBytes: 64 * Self.kib, journalBlocks: 8))
    #expect(layout.segmentShift == 4)
    #expect(layout.stream.blockCount == 8)
  }

  @Test func whatCannotBeIsRefusedWithWhatToDo() {
    typealias Options = PoolLayout.Options
    let sixtyOne = Array(repeating: Self.gib, count: 61)
    let cases: [([UInt64], Options, PoolLayoutError)] = [
      ([], Options(), .noDevices),
      (sixtyOne, Options(), .tooManyDevices(61)),
      ([32 * Self.mib - 4096], Options(), .poolTooSmall(32 * Self.mib - 4096)),
      ([3 << 50, 2 << 50], Options(), .poolTooLarge),
      ([.max, .max], Options(), .poolTooLarge),
      ([1 * Self.gib, 1 * Self.mib], Options(), .deviceTooSmall("d1", minimumBytes: 8 * Self.mib)),
      ([Self.gib], Options(segmentBytes: 96 * Self.kib), .badSegmentSize(96 * Self.kib)),
      ([Self.gib], Options(segmentBytes: 32 * Self.kib), .badSegmentSize(32 * Self.kib)),
      ([Self.gib], Options(segmentBytes: 128 * Self.mib), .badSegmentSize(128 * Self.mib)),
      ([Self.gib], Options(journalBlocks: 7), .journalTooSmall(blocks: 7)),
      ([Self.gib], Options(segmentBytes: 64 * Self.mib), .tooFewSegments(15)),
    ]
    for (sizes, options, expected) in cases {
      #expect(throws: expected) { try PoolLayout(candidates(sizes), options: options) }
      #expect(!expected.description.isEmpty)
    }
  }
}
