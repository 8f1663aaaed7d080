import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// Snapshots, clones and rollback through the command line, seen by real clients.
  @Suite struct SnapshotTests {
    private static func extent(_ seed: UInt64) -> [UInt8] {
      StampedBytes.random(64 << 10, seed: seed)
    }

    @Test func aSnapshotIsAnExportOfItsOwnAndStaysAsItWas() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let disk = try server.connect("disk")
      try disk.write(0, Self.extent(1))
      try server.command(["snapshot", "create", "\(server.pool)/disk@monday"])
      try disk.write(4096, StampedBytes.random(4096, seed: 2))
      try disk.trim(32 << 10, 8192)
      try disk.flush()
      let snapshot = try server.connect("disk@monday")
      #expect(try snapshot.read(0, 64 << 10) == Self.extent(1))
      #expect(throws: (any Error).self) { try snapshot.write(0, Self.extent(3)) }
      let copy = server.folder.path("copy.img")
      try server.folder.output(of: "nbdcopy", [server.uri("disk@monday"), copy])
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: copy))
      #expect(try file.read(upToCount: 64 << 10) == Data(Self.extent(1)))
      let list = try server.folder.output(of: "nbdinfo", ["--list", server.uri("")])
      #expect(list.contains("disk@monday"))
      try server.killAndRestart()
      #expect(try server.connect("disk@monday").read(0, 64 << 10) == Self.extent(1))
      #expect(
        try server.connect("disk").read(4096, 4096) == StampedBytes.random(4096, seed: 2))
    }

    @Test func aRollbackAndACloneShowTheSnapshotsContent() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("disk", "1G")
      let disk = try server.connect("disk")
      try disk.write(0, Self.extent(1))
      try server.command(["snapshot", "create", "\(pool)/disk@old"])
      try disk.write(0, Self.extent(2))
      try server.command(["snapshot", "create", "\(pool)/disk@later"])
      try disk.write(0, Self.extent(3))
      try server.command(["volume", "clone", "\(pool)/disk@later", "\(pool)/trial"])
      let trial = try server.connect("trial")
      #expect(try trial.read(0, 64 << 10) == Self.extent(2))
      try trial.write(0, Self.extent(4))
      try server.command(["volume", "rollback", "\(pool)/disk@old"])
      #expect(try disk.read(0, 64 << 10) == Self.extent(1))
      #expect(try server.connect("disk@later").read(0, 64 << 10) == Self.extent(2))
      #expect(try trial.read(0, 64 << 10) == Self.extent(4))
      let refusal = try server.attempt(["volume", "delete", "\(pool)/disk"])
      #expect(refusal.status != 0)
      #expect(refusal.errors.contains("disk@old"), "the obstacles are listed: \(refusal.errors)")
      try server.command(
        ["snapshot", "delete", "\(pool)/disk@old", "\(pool)/disk@later"])
      try server.command(["volume", "delete", "\(pool)/disk"])
      try server.stopAndRestart()
      #expect(try server.connect("trial").read(0, 64 << 10) == Self.extent(4))
    }

    /// A database and its log: both snapshots are of one instant, while both are written.
    @Test func snapshotsOfTwoVolumesAreOfOneInstant() throws {
      let server = try LaminaServer()
      let pool = server.pool
      try server.createVolume("data", "1G")
      try server.createVolume("log", "1G")
      let isDone = Lock(false)
      let group = DispatchGroup()
      let socket = server.socket
      DispatchQueue.global().async(group: group) {
        // The log is always at least as far as the data.
        guard let data = try? NBDConnection(socket: socket, export: "data"),
          let log = try? NBDConnection(socket: socket, export: "log")
        else { return }
        var number: UInt64 = 1
        while !isDone.value {
          var block = [UInt8](repeating: 0, count: 4096)
          unsafe block.withUnsafeMutableBytes {
            unsafe $0.storeBytes(of: number, as: UInt64.self)
          }
          do {
            try log.write(0, block)
            try data.write(0, block)
          } catch { return }
          number += 1
        }
      }
      for turn in 0..<10 {
        try server.command(
          ["snapshot", "create", "\(pool)/data@s\(turn)", "\(pool)/log@s\(turn)"])
        func number(_ volume: String) throws -> UInt64 {
          let bytes = try server.connect("\(volume)@s\(turn)").read(0, 512)
          return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: UInt64.self) }
        }
        let written = try number("data")
        let logged = try number("log")
        #expect(written <= logged && logged <= written + 1, "\(written), \(logged)")
      }
      isDone.value = true
      group.wait()
    }
  }
}

/// A value that two threads share.
private final class Lock: @unchecked Sendable {
  // Sendable: only touched under the lock.
  private let lock = NSLock()
  private var stored: Bool
  init(_ value: Bool) { stored = value }
  var value: Bool {
    get { lock.withLock { stored } }
    set { lock.withLock { stored = newValue } }
  }
}
