import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits

/// What a pool says of a volume or snapshot beside its content.
struct VolumeFacts: Hashable, Sendable {
  /// Its own: of a snapshot without its volume's.
  var name: String
  var sizeBytes: UInt64
  /// Tags.
  var holds: Set<String> = []
  /// The names of the bookmarks that are based on its snapshots.
  var bookmarks: Set<String> = []
  var isInTrash = false
  var isReceiving = false

  init(name: String, sizeBytes: UInt64, isReceiving: Bool = false) {
    self.name = name
    self.sizeBytes = sizeBytes
    self.isReceiving = isReceiving
  }

  /// What `pool` says.
  init(of slot: VolumeSlot, in pool: Pool) {
    let record = pool.record(of: slot)
    name = record.name
    sizeBytes = record.sizeBytes
    holds = Set(pool.holds(of: slot).map(\.tag))
    bookmarks = Set(pool.bookmarks(of: record.id).map(\.name))
    isInTrash = record.isInTrash
    isReceiving = record.isReceiving
  }

  /// Tells facts apart, in the same way in every run.
  var fingerprint: UInt64 {
    var hash = sizeBytes &* 4 | (isInTrash ? 2 : 0) | (isReceiving ? 1 : 0)
    for text in [[name], holds.sorted(), bookmarks.sorted()] {
      hash = SeededRandom.mix(hash ^ UInt64(text.count))
      for byte in text.joined(separator: ",").utf8 { hash = SeededRandom.mix(hash ^ UInt64(byte)) }
    }
    return hash
  }
}

/// The facts of a volume, and what was asked to change them and was not answered. The pool makes
/// changes in the order in which they were asked for, each wholly or not at all.
struct ExpectedFacts: Sendable {
  struct Change: Sendable {
    /// The token of the operation.
    var token: UInt64
    var apply: @Sendable (inout VolumeFacts) -> Void
    /// It comes with the replacement of the volume's content that was issued then.
    var replacement: UInt64?
  }

  /// What nothing can take back any more.
  private(set) var certain: VolumeFacts
  private(set) var pending: [Change] = []

  init(_ certain: VolumeFacts) { self.certain = certain }

  /// With everything that was asked for.
  var latest: VolumeFacts {
    var facts = certain
    for change in pending { change.apply(&facts) }
    return facts
  }

  /// Everything that may be found, each with whether the replacement of the content on its way has
  /// taken place then.
  var alternatives: [(facts: VolumeFacts, isReplaced: Bool)] {
    var facts = certain
    var isReplaced = false
    var all = [(facts, isReplaced)]
    for change in pending {
      change.apply(&facts)
      if change.replacement != nil { isReplaced = true }
      all.append((facts, isReplaced))
    }
    return all
  }

  /// The bookmarks that are there whatever becomes of what was asked for.
  var certainBookmarks: Set<String> {
    alternatives.reduce(certain.bookmarks) { $0.intersection($1.facts.bookmarks) }
  }

  /// The holds, likewise.
  var certainHolds: Set<String> {
    alternatives.reduce(certain.holds) { $0.intersection($1.facts.holds) }
  }

  mutating func ask(_ change: Change) { pending.append(change) }

  /// The change is durable, and so is what was asked for before it.
  mutating func take(_ token: UInt64) {
    guard let last = pending.firstIndex(where: { $0.token == token }) else { return }
    for change in pending[...last] { change.apply(&certain) }
    pending.removeSubrange(...last)
  }

  mutating func withdraw(_ token: UInt64) { pending.removeAll { $0.token == token } }

  /// After recovery.
  mutating func settle(on found: VolumeFacts) { self = ExpectedFacts(found) }
}
