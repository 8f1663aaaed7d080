import Foundation
import ServerHarness
import Testing

extension InteropTests {
  @Suite struct LibnbdTests {
    @Test func nbdinfoSeesTheExactSizeAndWhatTheExportCanDo() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      let text = try server.folder.output(of: "nbdinfo", ["--json", server.uri("disk")])
      let answer = try JSONDecoder().decode(NBDInfo.self, from: Data(text.utf8))
      let export = try #require(answer.exports.first)
      #expect(answer.protocol == "newstyle-fixed")
      #expect(export.exportSize == 1 << 40)
      #expect(export.contexts.contains("base:allocation"))
      #expect(!export.isReadOnly && export.canFlush && export.canTrim && export.canZero)
      #expect(export.canFua && export.canMultiConn && export.canDf && export.canFastZero)
      #expect(export.blockMinimum == 512)
      #expect(export.blockPreferred == 4096 || export.blockPreferred == 65536)
      #expect(export.blockMaximum >= 32 << 20)
    }

    @Test func nbdinfoListsEveryVolume() throws {
      let server = try LaminaServer()
      for (name, size) in [("one", "512"), ("two", "528K"), ("three", "10T")] {
        try server.createVolume(name, size)
      }
      let uri = "nbd+unix://?socket=\(server.socket)"
      let text = try server.folder.output(of: "nbdinfo", ["--list", "--json", uri])
      let answer = try JSONDecoder().decode(NBDInfo.self, from: Data(text.utf8))
      let sizes = Dictionary(
        answer.exports.map { ($0.exportName, $0.exportSize) }, uniquingKeysWith: { $1 })
      for (name, size) in [("one", 512), ("two", 528 << 10), ("three", 10 << 40)] {
        #expect(sizes[name] == UInt64(size))
      }
    }

    @Test func theEmptyNameIsTheOnlyVolumeAndUnknownWhereThereAreTwo() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let uri = "nbd+unix://?socket=\(server.socket)"
      let size = try server.folder.output(of: "nbdinfo", ["--size", uri])
      #expect(size.trimmingCharacters(in: .whitespacesAndNewlines) == "1073741824")
      try server.createVolume("other", "1G")
      #expect(try !server.folder.run("nbdinfo", ["--size", uri]).succeeded)
    }

    @Test func nbdinfoMapShowsWhatWasWritten() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.write(1 << 20, StampedBytes.random(8192, seed: 1))
      let text = try server.folder.output(
        of: "nbdinfo", ["--map", "--json", server.uri("disk")])
      let map = try JSONDecoder().decode([NBDMapExtent].self, from: Data(text.utf8))
      #expect(
        map == [
          NBDMapExtent(offset: 0, length: 1 << 20, type: 3),
          NBDMapExtent(offset: 1 << 20, length: 8192, type: 0),
          NBDMapExtent(offset: (1 << 20) + 8192, length: (1 << 30) - (1 << 20) - 8192, type: 3),
        ])
    }

    @Test func nbdcopyBringsAnImageInAndOut() throws {
      let server = try LaminaServer()
      let length = (40 << 20) + 512
      try server.createVolume("disk", "\(length)")
      // Data, a long hole, zeros that are written, and a tail of one sector.
      var image = [UInt8](repeating: 0, count: length)
      image.replaceSubrange(0..<3_000_000, with: StampedBytes.random(3_000_000, seed: 2))
      let tail = StampedBytes.random(70_000, seed: 3)
      image.replaceSubrange(length - tail.count..<length, with: tail)
      let source = try server.folder.file("in.img", holding: image)
      let copy = server.folder.path("out.img")
      try server.folder.output(of: "nbdcopy", ["--flush", source, server.uri("disk")])
      try server.folder.output(of: "nbdcopy", [server.uri("disk"), copy])
      try server.folder.output(of: "cmp", [source, copy])
      let figures = try server.volume("disk")
      #expect(figures.allocatedBytes < 4 << 20, "the hole of 36 MiB must not be allocated")
    }

    @Test func nbdcopyBetweenTwoVolumesOverSeveralConnections() throws {
      let server = try LaminaServer()
      try server.createVolume("from", "24M")
      try server.createVolume("to", "24M")
      let source = try server.folder.file(
        "in.img", holding: StampedBytes.random(24 << 20, seed: 4))
      try server.folder.output(of: "nbdcopy", [source, server.uri("from")])
      try server.folder.output(
        of: "nbdcopy",
        ["--connections=4", "--requests=32", "--flush", server.uri("from"), server.uri("to")])
      let copy = server.folder.path("out.img")
      try server.folder.output(of: "nbdcopy", [server.uri("to"), copy])
      try server.folder.output(of: "cmp", [source, copy])
    }

    @Test func nbdshWorksThroughEveryCommand() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      let script = """
        import os
        h.add_meta_context("base:allocation")
        h.connect_uri("\(server.uri("disk"))")
        assert h.get_size() == 1 << 40
        assert h.get_structured_replies_negotiated()
        data = os.urandom(100 * 1024)
        h.pwrite(data, (1 << 39) + 512)
        assert h.pread(len(data), (1 << 39) + 512) == bytearray(data)
        h.pwrite(b"x" * 4096, 4096, nbd.CMD_FLAG_FUA)
        h.flush()
        h.zero(512, 4096 + 512)
        assert h.pread(4096, 4096) == b"x" * 512 + b"\\0" * 512 + b"x" * 3072
        h.trim(4096, 4096)
        assert h.pread(4096, 4096) == bytearray(4096)
        h.zero(65536, 1 << 20, nbd.CMD_FLAG_NO_HOLE)
        seen = []
        h.block_status(65536, 1 << 20, lambda m, o, e, err: seen.append((o, list(e))) and 0 or 0)
        assert seen == [(1 << 20, [65536, 2])], seen
        assert h.pread(65536, 1 << 20) == bytearray(65536)
        try:
            h.pread(512, (1 << 40) - 256)
            raise SystemExit("a read past the end was answered")
        except nbd.Error:
            pass
        h.shutdown()
        """
      let file = try server.folder.file("script.py", holding: Array(script.utf8))
      let runner = "import nbd; h = nbd.NBD(); exec(open('\(file)').read())"
      try server.folder.output(of: "/usr/bin/python3", ["-c", runner])
    }
  }
}

/// What `nbdinfo --json` says.
struct NBDInfo: Decodable {
  struct Export: Decodable {
    let exportName: String
    let exportSize: UInt64
    let contexts: [String]
    let isReadOnly, canFlush, canTrim, canZero, canFua, canMultiConn, canDf, canFastZero: Bool
    let blockMinimum, blockPreferred, blockMaximum: UInt64

    enum CodingKeys: String, CodingKey {
      case exportName = "export-name"
      case exportSize = "export-size"
      case contexts
      case isReadOnly = "is_read_only"
      case canFlush = "can_flush"
      case canTrim = "can_trim"
      case canZero = "can_zero"
      case canFua = "can_fua"
      case canMultiConn = "can_multi_conn"
      case canDf = "can_df"
      case canFastZero = "can_fast_zero"
      case blockMinimum = "block_size_minimum"
      case blockPreferred = "block_size_preferred"
      case blockMaximum = "block_size_maximum"
    }
  }

  let `protocol`: String
  let exports: [Export]
}

/// One line of `nbdinfo --map --json`. Type 0 is data, 3 is a hole that reads as zeros.
struct NBDMapExtent: Decodable, Equatable {
  let offset: UInt64
  let length: UInt64
  let type: UInt32
}
