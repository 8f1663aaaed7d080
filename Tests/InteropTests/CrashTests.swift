import Foundation
import ServerHarness
import Testing

extension InteropTests {
  /// The server is killed in the middle of its work. What it answered must be there.
  @Suite struct CrashTests {
    /// For each block the newest generation that was answered and the newest that was sent: after
    /// a crash the block holds one between them.
    private struct History {
      var answered: [UInt64]
      var sent: [UInt64]

      init(blocks: Int) {
        answered = [UInt64](repeating: 0, count: blocks)
        sent = answered
      }

      func check(_ client: NBDConnection, at place: (Int) -> UInt64) throws {
        for block in sent.indices {
          let bytes = try client.read(place(block), StampedBytes.blockLength)
          let found = StampedBytes.generation(of: bytes, index: UInt64(block))
          try #require(
            found.map { answered[block] <= $0 && $0 <= sent[block] } == true,
            """
            block \(block) holds \(found.map(String.init) ?? "garbage"), \
            answered \(answered[block]), sent \(sent[block])
            """)
        }
      }
    }

    /// Writes until the server is dead, with at most one write in flight per block.
    private func load(
      _ client: NBDConnection, _ history: inout History, at place: (Int) -> UInt64,
      using generator: inout SeededGenerator, until stop: (Int) throws -> Bool
    ) throws {
      var open: [UInt64: (block: Int, generation: UInt64)] = [:]
      var busy: Set<Int> = []
      var answers = 0
      do {
        while true {
          while open.count < 24 {
            let block = Int.random(in: 0..<history.sent.count, using: &generator)
            guard busy.insert(block).inserted else { continue }
            history.sent[block] += 1
            let generation = history.sent[block]
            let bytes = StampedBytes.block(index: UInt64(block), generation: generation)
            let cookie = try client.submit(
              .write, offset: place(block), length: UInt32(bytes.count), payload: bytes)
            open[cookie] = (block, generation)
          }
          let answer = try client.nextAnswer()
          guard answer.error == 0, let write = open.removeValue(forKey: answer.cookie) else {
            throw HarnessFailure("answer \(answer)")
          }
          history.answered[write.block] = write.generation
          busy.remove(write.block)
          answers += 1
          if try stop(answers) { return }
        }
      } catch let failure as HarnessFailure where stopsTheLoad(failure) {
        return
      }
    }

    /// A connection that the dead server no longer serves.
    private func stopsTheLoad(_ failure: HarnessFailure) -> Bool {
      failure.description.hasPrefix("cannot send") || failure.description.contains("closed")
        || failure.description.hasPrefix("nothing received")
    }

    @Test func everyAnsweredWriteSurvivesSIGKILL() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      // Every block in an extent and a leaf of its own: each first write is a new record.
      let place: (Int) -> UInt64 = { UInt64($0) * 11_534_336 }
      var history = History(blocks: 600)
      var generator = SeededGenerator(seed: 20)
      for round in 0..<5 {
        let client = try server.connect("disk")
        try load(client, &history, at: place, using: &generator) { answers in
          if answers == 700 + 331 * round { try server.kill() }
          return false
        }
        try server.start()
        try history.check(server.connect("disk"), at: place)
      }
      try server.stopAndRestart()
      try history.check(server.connect("disk"), at: place)
    }

    @Test func denseOverwritesSurviveSIGKILLBetweenFlushes() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let place: (Int) -> UInt64 = { UInt64($0) * 4096 }
      var history = History(blocks: 512)
      var generator = SeededGenerator(seed: 21)
      for round in 0..<4 {
        let client = try server.connect("disk")
        let flusher = try server.connect("disk")
        try load(client, &history, at: place, using: &generator) { answers in
          if answers % 150 == 0 { try flusher.flush() }
          if answers == 1500 + 77 * round { try server.kill() }
          return false
        }
        try server.start()
        try history.check(server.connect("disk"), at: place)
      }
    }

    @Test func killedWhileItRecoversItRecoversAgain() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      let place: (Int) -> UInt64 = { UInt64($0) * 3_145_728 }
      var history = History(blocks: 400)
      var generator = SeededGenerator(seed: 22)
      let client = try server.connect("disk")
      try load(client, &history, at: place, using: &generator) { answers in
        if answers == 1000 { try server.kill() }
        return false
      }
      for milliseconds: UInt32 in [1, 5, 10, 20, 40, 80] {
        try server.killStart(afterMilliseconds: milliseconds)
      }
      try server.start()
      try history.check(server.connect("disk"), at: place)
    }

    /// Making the tail takes a moment, and a kill in that moment leaves an empty file.
    @Test func aTailThatWasNeverMadeIsNoTail() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.write(0, StampedBytes.random(4096, seed: 25))
      try client.flush()
      try server.kill()
      let tail = try #require(server.tailPath)
      try FileHandle(forWritingTo: URL(fileURLWithPath: tail)).truncate(atOffset: 0)
      try server.start()
      #expect(try server.connect("disk").read(0, 4096) == StampedBytes.random(4096, seed: 25))
      try server.stop()
    }

    @Test func aDiscardThatWasAnsweredStaysDiscarded() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk")
      try client.write(0, StampedBytes.random(1 << 20, seed: 23))
      try client.flush()
      try client.trim(65536, 65536)
      try client.writeZeroes(3 * 65536 + 512, 1024)
      try server.killAndRestart()
      let again = try server.connect("disk")
      var expected = StampedBytes.random(1 << 20, seed: 23)
      for range in [65536..<131_072, 3 * 65536 + 512..<3 * 65536 + 1536] {
        expected.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
      }
      #expect(try again.read(0, 1 << 20) == expected)
    }

    @Test func volumesCreatedAndDeletedBeforeTheKillStaySo() throws {
      let server = try LaminaServer()
      for name in ["a", "b", "c"] { try server.createVolume(name, "1G") }
      try server.connect("b").write(0, StampedBytes.random(4096, seed: 24))
      try server.command(["volume", "delete", "tank/b"])
      try server.createVolume("b", "2G")
      try server.killAndRestart()
      #expect(try server.volume("b").sizeBytes == 2 << 30)
      #expect(
        try server.connect("b").read(0, 4096) == [UInt8](repeating: 0, count: 4096),
        "the new volume must not show the old one's data")
    }
  }
}
