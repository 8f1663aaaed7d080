import StorageUnits

/// The streams that a volume was last written by: a sequential stream takes runs of neighbouring
/// extents, so that it stays contiguous inside a run, and each run lies on the next device.
struct StreamRuns {
  struct Stream {
    /// The virtual extent that would continue the stream.
    var expected: UInt64 = .max
    /// How many extents it took one after the other.
    var length: UInt32 = 0
    /// Extents taken ahead: the next one, and how many are left.
    var next = PoolExtent(index: 0)
    var left = 0
    var lastUse: UInt32 = 0
  }

  static let count = 4
  private var streams: [4 of Stream] = .init(repeating: Stream())
  private var clock: UInt32 = 0

  /// The stream that `extent` continues; otherwise the one to forget for a new stream: the oldest
  /// one without a run, else the oldest.
  mutating func match(_ extent: VirtualExtent) -> (index: Int, continues: Bool) {
    clock &+= 1
    var victim = 0
    for i in 0..<Self.count {
      if streams[i].expected == extent.index {
        streams[i].lastUse = clock
        return (i, true)
      }
      let (a, b) = (streams[i], streams[victim])
      if a.left == 0 && b.left > 0 || (a.left == 0) == (b.left == 0) && a.lastUse < b.lastUse {
        victim = i
      }
    }
    return (victim, false)
  }

  /// Starts a new stream after `extent`; what the forgotten one had taken ahead is returned.
  mutating func restart(_ index: Int, after extent: VirtualExtent) -> (PoolExtent, Int) {
    let tail = (streams[index].next, streams[index].left)
    streams[index] = Stream()
    streams[index].expected = extent.index + 1
    streams[index].length = 1
    streams[index].lastUse = clock
    return tail
  }

  /// The stream took one more extent.
  mutating func advance(_ index: Int) {
    streams[index].expected += 1
    streams[index].length &+= 1
  }

  func length(_ index: Int) -> UInt32 { streams[index].length }

  /// The next extent of the run, if it has one left.
  mutating func takeNext(_ index: Int) -> PoolExtent? {
    guard streams[index].left > 0 else { return nil }
    let extent = streams[index].next
    streams[index].next = PoolExtent(index: extent.index + 1)
    streams[index].left -= 1
    return extent
  }

  mutating func setRun(_ index: Int, next: PoolExtent, left: Int) {
    precondition(streams[index].left == 0)
    streams[index].next = next
    streams[index].left = left
  }

  /// Extents that are taken ahead.
  var leftCount: Int { (0..<Self.count).reduce(0) { $0 + streams[$1].left } }

  /// Gives up everything that was taken ahead.
  mutating func giveBackAll(_ body: (PoolExtent, Int) -> Void) {
    for i in 0..<Self.count where streams[i].left > 0 {
      body(streams[i].next, streams[i].left)
      streams[i].left = 0
    }
  }
}
