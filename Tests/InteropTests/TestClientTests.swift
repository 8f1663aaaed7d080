import Foundation
import ServerHarness
import Testing

/// The client that these tests are written with is tested against a server that is not ours.
extension InteropTests {
  @Suite struct TestClientTests {
    @Test func agreesWithQemuNBD() throws {
      let folder = try TemporaryFolder()
      let image = try folder.sparseFile("image", size: 8 << 20)
      let socket = folder.path("s")
      let server = try ChildProcess(
        "qemu-nbd", ["--format=raw", "--persistent", "--socket=\(socket)", image], in: folder.url)
      defer { server.send(signal: SIGKILL) }
      while !FileManager.default.fileExists(atPath: socket) {
        guard server.isRunning else { throw HarnessFailure("\(try server.wait())") }
        usleep(10_000)
      }
      let client = try NBDConnection(socket: socket)
      #expect(client.size == 8 << 20)
      let bytes = StampedBytes.random(70_000, seed: 1)
      try client.write(512, bytes)
      try client.flush()
      #expect(try client.read(512, bytes.count) == bytes)
      let cookies = try (0..<8).map {
        try client.submit(.read, offset: 512 + UInt64($0) * 512, length: 512)
      }
      var answers: [UInt64: [UInt8]] = [:]
      for _ in cookies {
        let answer = try client.nextAnswer()
        answers[answer.cookie] = answer.data
      }
      for (index, cookie) in cookies.enumerated() {
        #expect(answers[cookie] == Array(bytes[index * 512..<index * 512 + 512]))
      }
      let extents = try client.blockStatus(0, 8 << 20)
      #expect(extents.reduce(0) { $0 + $1.length } == 8 << 20)
      #expect(extents.last == .init(length: extents[1].length, isHole: true, readsAsZeros: true))
      #expect(throws: NBDRefusal(code: NBDMessage.Errors.invalid)) {
        try client.read(8 << 20, 512)
      }
      try client.disconnect()
    }

    @Test func stampsTellTheirPlaceAndAge() {
      let block = StampedBytes.block(index: 7, generation: 3)
      #expect(StampedBytes.generation(of: block, index: 7) == 3)
      #expect(StampedBytes.generation(of: block, index: 8) == nil)
      #expect(StampedBytes.generation(of: [UInt8](repeating: 0, count: 4096), index: 8) == 0)
      let newer = StampedBytes.block(index: 7, generation: 4)
      let torn = Array(block[..<512] + newer[512...])
      #expect(StampedBytes.generation(of: torn, index: 7) == nil)
    }
  }
}
