import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// The commands of the page's section "Import and export", exactly as they stand there.
  @Suite struct ImportExportTests {
    private static let page = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Docs/CommandLine.md")

    /// The shell blocks of a section, in order.
    private static func blocks(of section: String) throws -> [String] {
      let lines = try String(contentsOf: page, encoding: .utf8)
        .split(separator: "\n", omittingEmptySubsequences: false)
      guard let start = lines.firstIndex(of: "## \(section)"[...]) else {
        throw HarnessFailure("the page has no section '\(section)'")
      }
      var blocks: [String] = []
      var block: String?
      for line in lines[(start + 1)...] {
        if line.hasPrefix("## ") { break }
        if line == "```sh" {
          block = ""
        } else if line == "```" {
          blocks += block.map { [$0] } ?? []
          block = nil
        } else if block != nil {
          block? += line + "\n"
        }
      }
      return blocks
    }

    /// A sparse raw image with data at both ends and in the middle.
    private static func makeImage(
      _ folder: TemporaryFolder, _ name: String, seed: UInt64
    ) throws -> String {
      let size = (48 << 20) + 4096
      let image = try folder.sparseFile(name, size: UInt64(size))
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: image))
      try file.write(contentsOf: StampedBytes.random(3_000_000, seed: seed))
      try file.seek(toOffset: 30 << 20)
      try file.write(contentsOf: StampedBytes.random(70_000, seed: seed + 1))
      try file.seek(toOffset: UInt64(size - 1000))
      try file.write(contentsOf: StampedBytes.random(1000, seed: seed + 2))
      try file.close()
      return image
    }

    @Test func whatThePageSaysWorks() throws {
      let server = try LaminaServer()
      let folder = server.folder
      let raw = try Self.makeImage(folder, "disk.raw", seed: 1)
      let other = try Self.makeImage(folder, "other.raw", seed: 10)
      try folder.output(
        of: "qemu-img",
        ["convert", "-f", "raw", "-O", "qcow2", other, folder.path("web.qcow2")])
      try FileManager.default.createDirectory(
        atPath: folder.path("bin"), withIntermediateDirectories: false)
      try FileManager.default.createSymbolicLink(
        atPath: folder.path("bin/lamina"), withDestinationPath: Machine.lamina)
      let blocks = try Self.blocks(of: "Import and export")
      #expect(blocks.count == 3)
      for block in blocks {
        let result = try folder.run(
          "sh", ["-euc", "PATH=\"$PWD/bin:$PATH\"\n" + block],
          environment: ["LAMINA_HOME": server.home, "SOCKET": server.socket])
        #expect(result.succeeded, "\(block)\(result)")
      }
      for (image, export, format) in [
        (raw, "export.raw", "raw"), (other, "export.qcow2", "qcow2"),
      ] {
        try folder.output(
          of: "qemu-img", ["compare", "-f", "raw", "-F", format, image, folder.path(export)])
      }
      #expect(try server.volume("disk").mappedBytes < 4 << 20, "holes stay holes")
      #expect(try server.volume("web").mappedBytes < 4 << 20)
      var status = stat()
      #expect(unsafe stat(folder.path("export.raw"), &status) == 0)
      #expect(status.st_blocks * 512 < 8 << 20, "and do on the way back")
    }
  }
}
