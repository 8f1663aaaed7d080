import Testing
import Torture

extension InteropTests {
  /// `make torture` runs the same for longer.
  @Suite struct TortureTests {
    @Test func whatWasAnsweredSurvivesAKilledProcess() throws {
      let tally = try Torture(.process, rounds: 6, seed: 4001).run()
      #expect(tally.kills >= 6 && tally.answers > 1000 && tally.volumeChanges > 0)
    }

    @Test func whatWasFlushedSurvivesAPowerCut() throws {
      let tally = try Torture(.power, rounds: 6, seed: 4002).run()
      #expect(tally.kills >= 6 && tally.answers > 1000 && tally.volumeChanges > 0)
    }

    /// Devices that lose flushed writes are found out: what the other test says means something.
    @Test func devicesThatLieAboutFlushesAreFoundOut() {
      #expect(throws: (any Error).self) { try Torture(.lies, rounds: 10, seed: 4003).run() }
    }
  }
}
