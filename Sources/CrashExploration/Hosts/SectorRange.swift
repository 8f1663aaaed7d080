import DiskSimulation
import StorageUnits

/// How random operations choose where they act.
enum SectorRange {
  /// A volume that hosts surely know and can write.
  static func volume(_ random: inout SeededRandom, in session: HostSession) -> VolumeID? {
    one(of: session.expectation.certainVolumes, &random)
  }

  /// Such a volume, or one that is being received.
  static func writable(_ random: inout SeededRandom, in session: HostSession) -> VolumeID? {
    let expectation = session.expectation
    return one(
      of: expectation.model.volumeIDs.filter { expectation.isWritable($0) }, &random)
  }

  static func one<T>(of things: [T], _ random: inout SeededRandom) -> T? {
    things.isEmpty ? nil : things[random.below(things.count)]
  }

  /// A snapshot that surely exists.
  static func snapshot(_ random: inout SeededRandom, in session: HostSession) -> VolumeID? {
    one(of: session.expectation.certainSnapshots, &random)
  }

  /// A range of the volume: anywhere at its start or end, or, in a wide one, at a few places.
  static func draw(
    _ random: inout SeededRandom, of volume: VolumeID, atMost longest: Int,
    in session: HostSession
  ) -> Range<UInt64> {
    let windows = CrashExpectation.windows(
      sizeBytes: session.expectation.model.sizeBytes(of: volume))
    let window = windows[random.below(windows.count)]
    var first = window.lowerBound + UInt64(random.below(window.count))
    if random.oneIn(2) { first = max(window.lowerBound, first / 8 * 8) }
    var count = 1 + random.below(min(longest, Int(window.upperBound - first)))
    if random.oneIn(2) { count = max(1, count / 8 * 8) }
    return first..<first + UInt64(count)
  }

  static func text(_ volume: VolumeID, _ sectors: Range<UInt64>) -> String {
    "\(volume.number):\(sectors.lowerBound)+\(sectors.count)"
  }
}
