import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// `GET /metrics`, as Prometheus reads it.
  @Suite struct MetricsTests {
    private static func metrics(_ server: LaminaServer) throws -> String {
      try server.command(["pool", "metrics", server.pool])
    }

    private static func value(_ text: String, _ sample: String) -> Double? {
      text.split(separator: "\n").first { $0.hasPrefix(sample + " ") }
        .flatMap { Double($0.dropFirst(sample.count + 1)) }
    }

    @Test func theyCountWhatHostsDo() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.createVolume("idle", "1G")
      let disk = try server.connect("disk")
      for i in 0..<10 as Range<UInt64> {
        try disk.write(i << 20, StampedBytes.random(65536, seed: i))
      }
      for i in 0..<7 as Range<UInt64> { _ = try disk.read(i << 20, 4096) }
      try disk.flush()
      try disk.trim(0, 65536)
      let text = try Self.metrics(server)
      func sample(_ name: String, _ operation: String) -> Double? {
        Self.value(text, "lamina_volume_\(name){volume=\"disk\",operation=\"\(operation)\"}")
      }
      #expect(sample("requests_total", "write") == 10)
      #expect(sample("bytes_total", "write") == 655_360)
      #expect(sample("requests_total", "read") == 7)
      #expect(sample("requests_total", "flush") == 1)
      #expect(sample("requests_total", "discard") == 1)
      #expect(sample("errors_total", "write") == 0)
      #expect(sample("latency_seconds_count", "write") == 10)
      #expect((sample("latency_seconds_sum", "flush") ?? -1) >= 0)
      let infinite =
        "lamina_volume_latency_seconds_bucket{volume=\"disk\",operation=\"write\",le=\"+Inf\"}"
      #expect(Self.value(text, infinite) == 10)
      #expect(!text.contains("volume=\"idle\",operation"))
      #expect(Self.value(text, "lamina_volume_size_bytes{volume=\"idle\"}") == 1_073_741_824)
      #expect(Self.value(text, "lamina_nbd_connections") == 1)
      #expect((Self.value(text, "lamina_journal_rounds_total") ?? 0) >= 1)
      #expect((Self.value(text, "lamina_pool_used_bytes") ?? 0) > 0)
    }

    @Test(.enabled(if: Machine.hasPromtool, "needs promtool in .build/tools"))
    func promtoolFindsNothingWrong() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.connect("disk").write(0, StampedBytes.random(65536, seed: 1))
      let file = server.folder.path("metrics.txt")
      try Self.metrics(server).write(toFile: file, atomically: true, encoding: .utf8)
      let result = try server.folder.run(
        "sh", ["-c", "\(Machine.tool("promtool")) check metrics < \(file)"])
      #expect(result.status == 0, "\(result)")
    }
  }
}
