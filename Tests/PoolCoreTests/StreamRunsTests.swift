import StorageUnits
import Testing

@testable import PoolCore

@Suite struct StreamRunsTests {
  private func extent(_ index: UInt64) -> VirtualExtent { VirtualExtent(index: index) }

  @Test func aStreamIsFoundByTheExtentThatContinuesIt() {
    var runs = StreamRuns()
    let (stream, continues) = runs.match(extent(10))
    #expect(!continues)
    #expect(runs.restart(stream, after: extent(10)).1 == 0)
    #expect(runs.match(extent(11)) == (stream, true))
    #expect(runs.match(extent(12)).continues == false)
    runs.advance(stream)
    #expect(runs.match(extent(12)) == (stream, true))
    #expect(runs.length(stream) == 2)
  }

  @Test func aRunIsTakenOneExtentAfterTheOther() {
    var runs = StreamRuns()
    _ = runs.restart(0, after: extent(1))
    runs.setRun(0, next: PoolExtent(index: 100), left: 2)
    #expect(runs.takeNext(0) == PoolExtent(index: 100))
    #expect(runs.takeNext(0) == PoolExtent(index: 101))
    #expect(runs.takeNext(0) == nil)
  }

  @Test func streamsWithoutARunAreForgottenFirstAndTailsAreGivenBack() {
    var runs = StreamRuns()
    for i in 0..<StreamRuns.count {
      let (stream, continues) = runs.match(extent(UInt64(i * 100)))
      #expect(!continues)
      _ = runs.restart(stream, after: extent(UInt64(i * 100)))
    }
    // The oldest has a run, so the second oldest goes.
    let (oldest, found) = runs.match(extent(1))
    #expect(found)
    runs.setRun(oldest, next: PoolExtent(index: 7), left: 3)
    let victim = runs.match(extent(5000))
    #expect(!victim.continues)
    #expect(victim.index != oldest)
    for i in 0..<StreamRuns.count where i != oldest {
      runs.setRun(i, next: PoolExtent(index: UInt64(50 * (i + 1))), left: 1)
    }
    let next = runs.match(extent(6000)).index
    let tail = runs.restart(next, after: extent(6000))
    #expect(tail.1 > 0)
    var given = 0
    runs.giveBackAll { _, count in given += count }
    #expect(given == 3 + 3 - tail.1)
    runs.giveBackAll { _, _ in Issue.record("given back twice") }
  }
}
