import DiskSimulation
import StorageUnits
import Testing

@Suite struct SeededRandomTests {
  /// The reference values of SplitMix64 with seed 1234567 (Steele, Lea, Flood 2014).
  @Test func theSequenceIsThatOfSplitMix64() {
    var random = SeededRandom(seed: 1_234_567)
    #expect(random.next() == 6_457_827_717_110_365_317)
    #expect(random.next() == 3_203_168_211_198_807_973)
  }

  @Test func numbersStayBelowTheirBoundAndReachAllOfIt() {
    var random = SeededRandom(seed: 1)
    var seen: Set<Int> = []
    for _ in 0..<1000 { seen.insert(random.below(7)) }
    #expect(seen == Set(0..<7))
  }

  @Test func theClockMovesOnlyWhenTold() {
    var clock = SimulatedClock()
    #expect(clock.now == MonotonicTime(nanoseconds: 0))
    clock.advance(milliseconds: 2)
    clock.advance(to: MonotonicTime(nanoseconds: 5))
    clock.advance(nanoseconds: 1)
    #expect(clock.now == MonotonicTime(nanoseconds: 2_000_001))
  }
}
