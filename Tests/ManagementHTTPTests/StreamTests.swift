import Foundation
import Management
import ManagementHTTP
import Testing

/// Streams through the control socket: of any length, told apart from what breaks off, and refused
/// in the middle.
struct StreamTests {
  /// Pieces of a source that a test makes; it says how many were drawn.
  private actor Pieces: ByteSource {
    private let count: Int
    private(set) var drawn = 0
    private let failure: ManagementError?

    init(_ count: Int, thenFail failure: ManagementError? = nil) {
      self.count = count
      self.failure = failure
    }

    func next() async throws(ManagementError) -> [UInt8]? {
      guard drawn < count else {
        if let failure { throw failure }
        return nil
      }
      drawn += 1
      return StreamTests.piece(drawn)
    }
  }

  private actor Collected: ByteSink {
    private(set) var bytes: [UInt8] = []
    func write(_ bytes: [UInt8]) async throws(ManagementError) { self.bytes += bytes }
  }

  private static func piece(_ number: Int) -> [UInt8] {
    [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 100_000 + number)
  }

  private static func withDisk(_ body: (RunningServer) async throws -> Void) async throws {
    try await RunningServer.use { server in
      _ = try await server.client.createVolume(
        VolumeSpecification(name: try VolumeName("disk"), sizeBytes: 1 << 30))
      try await body(server)
    }
  }

  private static var order: SendOrder {
    get throws { SendOrder(try SnapshotName("disk@monday")) }
  }

  @Test func `a stream comes as it was handed out`() async throws {
    try await Self.withDisk { server in
      let pieces = (1...50).map(Self.piece)
      await server.pool.stream(pieces)
      let sink = Collected()
      try await server.client.send(try Self.order, to: sink)
      #expect(await sink.bytes == pieces.flatMap(\.self))
    }
  }

  @Test func `what does not exist is refused before the first byte`() async throws {
    try await Self.withDisk { server in
      let sink = Collected()
      let error = await #expect(throws: ManagementError.self) {
        try await server.client.send(try Self.order, to: sink)
      }
      #expect(error?.code == .snapshotNotFound)
      #expect(await sink.bytes.isEmpty)
    }
  }

  @Test func `what ends a stream early is said behind it`() async throws {
    try await Self.withDisk { server in
      await server.pool.stream([Self.piece(1)], thenFail: .poolReadOnly("größe", reason: "a\nb"))
      let sink = Collected()
      let error = await #expect(throws: ManagementError.self) {
        try await server.client.send(try Self.order, to: sink)
      }
      #expect(error == .poolReadOnly("größe", reason: "a\nb"))
      #expect(await sink.bytes == Self.piece(1))
    }
  }

  @Test func `a stream is received whole`() async throws {
    try await Self.withDisk { server in
      let made = try await server.client.receive(
        ReceiveOrder(try VolumeName("disk")), from: Pieces(40))
      #expect(made.name == "disk")
      #expect(await server.pool.received == (1...40).flatMap(Self.piece))
    }
  }

  /// The client says what the server said, and does not send the rest.
  @Test func `a refusal in the middle ends the sending`() async throws {
    try await Self.withDisk { server in
      await server.pool.refuseStreams(
        after: 150_000, with: ManagementError(.streamDamaged, "the stream is damaged"))
      let source = Pieces(1_000_000)
      let error = await #expect(throws: ManagementError.self) {
        try await server.client.receive(ReceiveOrder(try VolumeName("disk")), from: source)
      }
      #expect(error?.code == .streamDamaged)
      #expect(await source.drawn < 100_000)
    }
  }

  @Test func `a source that fails is not taken for the end`() async throws {
    try await Self.withDisk { server in
      let failure = ManagementError(.inputOutput, "cannot read standard input")
      let error = await #expect(throws: ManagementError.self) {
        try await server.client.receive(
          ReceiveOrder(try VolumeName("disk")), from: Pieces(3, thenFail: failure))
      }
      #expect(error == failure)
      for _ in 0..<1000 where await server.pool.brokenStreams == 0 {
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(await server.pool.brokenStreams == 1)
    }
  }

  @Test func `other methods and values are refused`() async throws {
    try await Self.withDisk { server in
      let answer = try await RawConnection.exchange(
        RawConnection.request("PUT", "/v1/volumes/disk/stream"), socketPath: server.socketPath)
      #expect(answer.contains("405") && answer.contains("POST"))
      let value = try await RawConnection.exchange(
        RawConnection.request("POST", "/v1/volumes/disk/stream?rollback=maybe"),
        socketPath: server.socketPath)
      #expect(value.contains("400") && value.contains("invalid-request"))
    }
  }
}
