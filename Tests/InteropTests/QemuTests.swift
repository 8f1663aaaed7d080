import Foundation
import ServerHarness
import Testing

extension InteropTests {
  @Suite struct QemuTests {
    /// An image with data at both ends, a hole between, and `length` bytes.
    private func makeImage(in folder: TemporaryFolder, length: Int) throws -> String {
      let image = try folder.sparseFile("source.img", size: UInt64(length))
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: image))
      try file.write(contentsOf: StampedBytes.random(5_000_000, seed: 5))
      try file.seek(toOffset: UInt64(length - 300_000))
      try file.write(contentsOf: StampedBytes.random(300_000, seed: 6))
      try file.close()
      return image
    }

    @Test func qemuImgInfoSeesTheVirtualSize() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "10T")
      let text = try server.folder.output(
        of: "qemu-img", ["info", "--output=json", server.uri("disk")])
      #expect(text.contains("\"virtual-size\": 10995116277760"))
    }

    @Test func qemuImgConvertsInAndOutOfQcow2() throws {
      let server = try LaminaServer()
      let length = 64 << 20
      try server.createVolume("disk", "\(length)")
      let raw = try makeImage(in: server.folder, length: length)
      let packed = server.folder.path("source.qcow2")
      try server.folder.output(of: "qemu-img", ["convert", "-O", "qcow2", raw, packed])
      try server.folder.output(
        of: "qemu-img",
        ["convert", "-n", "-f", "qcow2", "-O", "raw", packed, server.uri("disk")])
      try server.folder.output(
        of: "qemu-img", ["compare", "-f", "raw", "-F", "raw", raw, server.uri("disk")])
      let back = server.folder.path("back.qcow2")
      try server.folder.output(
        of: "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", server.uri("disk"), back])
      try server.folder.output(of: "qemu-img", ["compare", packed, back])
      #expect(try server.volume("disk").mappedBytes < 6 << 20)
    }

    @Test func qemuImgCompareNoticesOneByte() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "64M")
      let raw = try makeImage(in: server.folder, length: 64 << 20)
      let compare = ["compare", "-f", "raw", "-F", "raw", raw, server.uri("disk")]
      try server.folder.output(
        of: "qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", raw, server.uri("disk")])
      #expect(try server.folder.run("qemu-img", compare).status == 0)
      try server.connect("disk").write(10_240, StampedBytes.random(512, seed: 77))
      #expect(try server.folder.run("qemu-img", compare).status == 1)
    }

    @Test func qemuImgMapShowsDataAndHoles() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try server.connect("disk").write(64 << 20, StampedBytes.random(65536, seed: 7))
      let text = try server.folder.output(
        of: "qemu-img", ["map", "-f", "raw", "--output=json", server.uri("disk")])
      let map = try JSONDecoder().decode([QemuMapExtent].self, from: Data(text.utf8))
      #expect(
        map == [
          QemuMapExtent(start: 0, length: 64 << 20, zero: true, data: false),
          QemuMapExtent(start: 64 << 20, length: 65536, zero: false, data: true),
          QemuMapExtent(
            start: (64 << 20) + 65536, length: (960 << 20) - 65536, zero: true, data: false),
        ])
    }

    @Test func qemuIoReadsBackEveryPatternItWrote() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "100G")
      let commands = [
        "write -P 0x11 0 4k", "write -P 0x22 1536 1k", "write -f -P 0x33 50G 3M",
        "read -P 0x11 0 1536", "read -P 0x22 1536 1k", "read -P 0x11 2560 1536",
        "read -P 0x33 50G 3M", "read -P 0 40G 1M",
        "discard 50G 1M", "read -P 0 50G 1M", "read -P 0x33 53688139776 2M",
        "write -z 53688139776 512k", "read -P 0 53688139776 512k",
        "write -z -u 0 1k", "read -P 0 0 1k", "read -P 0x11 1024 512",
        "aio_write -P 0x44 60G 1M", "aio_write -P 0x55 61G 1M", "aio_flush", "flush",
        "read -P 0x44 60G 1M", "read -P 0x55 61G 1M",
      ]
      let arguments = commands.flatMap { ["-c", $0] }
      let result = try server.folder.run(
        "qemu-io", ["-f", "raw", "-d", "unmap"] + arguments + [server.uri("disk")])
      #expect(result.succeeded, "\(result)")
      #expect(!result.output.contains("verification failed"), "\(result)")
      #expect(!result.output.contains("failed:"), "\(result)")
    }
  }
}

/// One piece of `qemu-img map --output=json`.
struct QemuMapExtent: Decodable, Equatable {
  let start: UInt64
  let length: UInt64
  let zero: Bool
  let data: Bool
}
