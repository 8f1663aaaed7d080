import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// QEMU as a client that agrees on extended headers: `Scripts/fetch-test-tools.sh` fetches it.
  @Suite(
    .enabled(if: Machine.hasNewerQemu, "needs a QEMU with extended headers in .build/tools"))
  struct NewerQemuTests {
    @Test func itAgreesOnExtendedHeadersAndSeesTheExport() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "10T")
      let text = try server.folder.output(
        of: Machine.tool("qemu-nbd"), ["--list", "-k", server.socket])
      #expect(text.contains("transaction size: 64-bit"), "\(text)")
      #expect(text.contains("cache"))
    }

    @Test func requestsOfEveryKindAreCarriedOut() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "10T")
      let commands = [
        "write -P 7 1M 64k", "write -f -P 8 3M 512", "aio_write -P 9 9T 8M", "aio_flush",
        "write -z -u 1M 4k", "discard 9T 1M", "flush", "read -P 0 1M 4k", "read -P 7 1028k 60k",
        "read -P 8 3M 512", "read -P 0 9T 1M", "read -P 9 \((9 << 40) + (8 << 20) - 4096) 4k",
      ]
      let result = try server.folder.run(
        Machine.tool("qemu-io"),
        ["-f", "raw"] + commands.flatMap { ["-c", $0] } + [server.uri("disk")])
      #expect(result.succeeded && !result.output.contains("failed"), "\(result)")
      #expect(!result.output.contains("verification"), "\(result)")
    }

    /// One request clears terabytes, and one tells the state of them.
    @Test func rangesLongerThan4GiBAreOneRequest() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "10T")
      let disk = try server.connect("disk")
      for i in 0..<10 as Range<UInt64> {
        try disk.write(i << 40, StampedBytes.random(65536, seed: i))
      }
      #expect(try server.volume("disk").mappedBytes == 10 << 16)
      let text = try server.folder.output(
        of: Machine.tool("qemu-img"),
        ["map", "-f", "raw", "--output=json", server.uri("disk")])
      struct Run: Decodable {
        var start: UInt64
        var length: UInt64
        var data: Bool
      }
      let runs = try JSONDecoder().decode([Run].self, from: Data(text.utf8))
      #expect(runs.filter(\.data).map(\.start) == (0..<10).map { $0 << 40 })
      #expect(runs.contains { $0.length == (1 << 40) - 65536 })
      let zeroed = try server.folder.run(
        Machine.tool("qemu-io"),
        ["-f", "raw", "-c", "write -z -u -n 1T 8T", server.uri("disk")])
      #expect(zeroed.succeeded && !zeroed.output.contains("failed"), "\(zeroed)")
      #expect(try server.volume("disk").mappedBytes == 2 << 16)
    }

    @Test func imagesGoInAndOut() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "64M")
      let raw = try server.folder.sparseFile("raw.img", size: 64 << 20)
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: raw))
      try file.write(contentsOf: StampedBytes.random(5_000_000, seed: 5))
      try file.close()
      let image = Machine.tool("qemu-img")
      try server.folder.output(
        of: image, ["convert", "-n", "-f", "raw", "-O", "raw", raw, server.uri("disk")])
      let back = server.folder.path("back.qcow2")
      try server.folder.output(
        of: image, ["convert", "-f", "raw", "-O", "qcow2", server.uri("disk"), back])
      try server.folder.output(of: image, ["compare", "-f", "raw", "-F", "qcow2", raw, back])
      #expect(try server.volume("disk").mappedBytes < 6 << 20)
    }
  }
}
