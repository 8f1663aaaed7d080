import BlockExport
import Foundation
import StorageUnits
import Testing

@testable import FuzzBodies

/// The inputs that fuzzing starts from, and those that once broke something, through the same
/// bodies that `make fuzz` runs.
@Suite struct FuzzTests {
  private static let fuzz = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fuzz")

  private static let bodies: [String: @Sendable ([UInt8]) throws -> Void] = [
    "DiskFormat": { try FormatFuzzing.run($0) },
    "Recovery": { try RecoveryFuzzing.run($0) },
    "Replay": { try ReplayFuzzing.run($0) },
    "Negotiation": { try NegotiationFuzzing.run($0) },
    "Transmission": { try TransmissionFuzzing.run($0) },
    "Control": { try ControlFuzzing.run($0) },
    "Stream": { try StreamFuzzing.run($0) },
  ]

  private static func inputs(_ folder: String, _ target: String) throws -> [URL] {
    let place = fuzz.appending(path: folder).appending(path: target)
    guard FileManager.default.fileExists(atPath: place.path) else { return [] }
    return try FileManager.default.contentsOfDirectory(
      at: place, includingPropertiesForKeys: nil
    ).sorted { $0.path < $1.path }
  }

  @Test(arguments: bodies.keys.sorted())
  func theSeedsHoldEveryProperty(target: String) throws {
    let body = try #require(Self.bodies[target])
    let seeds = try Self.inputs("Corpus", target)
    #expect(!seeds.isEmpty)
    for seed in seeds {
      #expect(throws: Never.self, "\(seed.lastPathComponent)") {
        try body([UInt8](try Data(contentsOf: seed)))
      }
    }
  }

  /// Each input here broke a property or ended the process once.
  @Test(arguments: bodies.keys.sorted())
  func whatOnceBrokeHolds(target: String) throws {
    let body = try #require(Self.bodies[target])
    for input in try Self.inputs("Regressions", target) {
      #expect(throws: Never.self, "\(input.lastPathComponent)") {
        try body([UInt8](try Data(contentsOf: input)))
      }
    }
  }

  @Test func everyKeptInputIsRun() throws {
    for folder in try FileManager.default.contentsOfDirectory(
      at: Self.fuzz.appending(path: "Regressions"), includingPropertiesForKeys: nil)
    {
      #expect(Self.bodies[folder.lastPathComponent] != nil, "\(folder.path) is run by no test")
    }
  }
}

/// Properties that could not break would prove nothing.
@Suite struct FuzzPropertyTests {
  private static let read: [UInt8] =
    [0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0] + WireFields.bytes(7, 8) + WireFields.bytes(0, 8)
    + WireFields.bytes(512, 4)

  private func check(_ replies: [UInt8], isStructured: Bool = false) throws {
    let sent = SentRequests(Self.read, isExtended: false)
    var reader = ReplyReader(
      [UInt8](repeating: 0, count: 18) + replies, isStructured: isStructured,
      isExtended: false, mayEndEarly: false)
    try reader.skipHandshake()
    try reader.read(sent)
    #expect(reader.answeredCount == 1)
  }

  private func simple(_ cookie: UInt64, bytes: Int) -> [UInt8] {
    [0x67, 0x44, 0x66, 0x98] + WireFields.bytes(0, 4) + WireFields.bytes(cookie, 8)
      + [UInt8](repeating: 1, count: bytes)
  }

  private func chunk(_ offset: UInt64, bytes: Int, isDone: Bool) -> [UInt8] {
    [0x66, 0x8E, 0x33, 0xEF, 0, isDone ? 1 : 0, 0, 1] + WireFields.bytes(7, 8)
      + WireFields.bytes(UInt64(bytes + 8), 4) + WireFields.bytes(offset, 8)
      + [UInt8](repeating: 1, count: bytes)
  }

  @Test func rightRepliesPass() throws {
    try check(simple(7, bytes: 512))
    try check(
      chunk(0, bytes: 256, isDone: false) + chunk(256, bytes: 256, isDone: true),
      isStructured: true)
  }

  @Test func wrongRepliesAreFound() {
    for replies in [
      simple(8, bytes: 512), simple(7, bytes: 511), simple(7, bytes: 512) + simple(7, bytes: 512),
    ] {
      #expect(throws: BrokenProperty.self) { try check(replies) }
    }
    for replies in [
      simple(7, bytes: 512), chunk(0, bytes: 256, isDone: true),
      chunk(256, bytes: 512, isDone: true),
      chunk(0, bytes: 512, isDone: false) + chunk(0, bytes: 512, isDone: true),
    ] {
      #expect(throws: BrokenProperty.self) { try check(replies, isStructured: true) }
    }
  }

  @Test func nothingBehindADisconnectIsExpected() {
    let disconnect: [UInt8] =
      [0x25, 0x60, 0x95, 0x13, 0, 0, 0, 2] + [UInt8](repeating: 0, count: 20)
    let sent = SentRequests(Self.read + disconnect + Self.read, isExtended: false)
    #expect(sent.all.count == 1)
  }

  @Test func recordsThatFitAreReplayed() throws {
    // A volume, a data segment, an entry.
    let script: [UInt8] =
      [9] + [1, 0, 64, 10, 0, 0, 0] + [1, 4, 1, 7, 1, 1, 0, 0]
      + [1, 8, 0, 0, 1, 28, 255, 255, 0, 1, 0, 0]
    let found = try #require(ReplayFuzzing.open(try ReplayFuzzing.device(script)))
    #expect(found.journalRecords == 3)
    #expect(found.names == ["v0"])
  }

  @Test func requestsThatATargetMayNotMakeAreFound() throws {
    let engine = FuzzedEngine(FuzzedExports.few.all)
    let readOnly = FuzzedExports.few.all[2]
    func request(_ operation: ExportRequest.Operation, at offset: UInt64) -> ExportRequest {
      unsafe ExportRequest(
        operation, volume: readOnly.volume, offset: offset, length: 512, buffer: nil, token: 1)
    }
    #expect(throws: BrokenProperty.self) { try engine.take(request(.discard, at: 0)) }
    #expect(throws: BrokenProperty.self) {
      try engine.take(request(.blockStatus, at: readOnly.sizeBytes))
    }
    #expect(throws: BrokenProperty.self) { try engine.take(request(.read, at: 0)) }
    try engine.take(request(.blockStatus, at: 0))
    #expect(throws: BrokenProperty.self) { try engine.take(request(.blockStatus, at: 0)) }
  }
}
