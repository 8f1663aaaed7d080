/// What one sector of a volume may hold: the issued versions that nothing certain has replaced.
///
/// Times are ticks of the `ReferenceModel`. A version *supersedes* another if it was issued after
/// the other's answer; what is concurrent may end in either order.
struct SectorHistory: Hashable {
  struct Version: Hashable {
    /// 0 means zeros; else the version of a stamp.
    var content: UInt64
    var issued: UInt64
    /// Nil until the host has its answer.
    var answered: UInt64?
    /// A flush that arrived after the answer was answered, or the answer was FUA's.
    var isDurable: Bool
    /// The operation may have left the sector alone (a discard of part of a block).
    var isOptional: Bool
  }

  /// In order of issue.
  private(set) var versions: [Version] = [
    Version(content: 0, issued: 0, answered: 0, isDurable: true, isOptional: false)
  ]

  /// Never written: zeros.
  init() {}

  /// One of these contents, certain and durable; which one is not known.
  init(oneOf contents: [UInt64], at time: UInt64) {
    versions = contents.map {
      Version(content: $0, issued: time, answered: time, isDurable: true, isOptional: true)
    }
  }

  mutating func issue(_ content: UInt64, at time: UInt64, isOptional: Bool) {
    versions.append(
      Version(
        content: content, issued: time, answered: nil, isDurable: false, isOptional: isOptional))
  }

  /// The operation issued at `issued` was answered at `time`.
  mutating func answer(issued: UInt64, at time: UInt64, isDurable: Bool) {
    for i in versions.indices where versions[i].issued == issued {
      versions[i].answered = time
      versions[i].isDurable = isDurable
    }
  }

  /// The operation issued at `issued` failed: it may or may not have taken place, and nothing that
  /// was there is certain to be gone.
  mutating func fail(issued: UInt64, at time: UInt64) {
    for i in versions.indices where versions[i].issued == issued {
      versions[i].answered = time
      versions[i].isOptional = true
    }
  }

  /// An operation that replaces the whole volume was issued: the sector will hold one of these.
  mutating func replace(byOneOf contents: [UInt64], at time: UInt64) {
    for content in contents { issue(content, at: time, isOptional: false) }
  }

  /// The operation issued at `issued` was refused: it did nothing.
  mutating func withdraw(issued: UInt64) { versions.removeAll { $0.issued == issued } }

  /// The sector was cut off by what was issued at `issued` and has ended at `time`: it holds zeros,
  /// or later what is still on its way.
  mutating func cutOff(issued: UInt64, at time: UInt64) {
    withdraw(issued: issued)
    versions.append(
      Version(content: 0, issued: time, answered: time, isDurable: true, isOptional: false))
  }

  /// A flush that arrived at `arrival` was answered.
  mutating func flush(arrival: UInt64) {
    for i in versions.indices {
      if let answered = versions[i].answered, answered < arrival { versions[i].isDurable = true }
    }
  }

  /// Nothing is left for a flush to do.
  var isDurable: Bool { versions.allSatisfy(\.isDurable) }

  /// Everything that was ever issued is answered and zeros.
  var isZerosForSure: Bool { versions.allSatisfy { $0.content == 0 && $0.answered != nil } }

  /// Forgets versions that no reader and no crash can see any more.
  mutating func prune(oldestReader: UInt64) {
    versions = remaining { $0.isDurable && ($0.answered ?? .max) < oldestReader }
  }

  /// Collapses to one certain, durable content.
  mutating func settle(on content: UInt64, at time: UInt64) {
    versions = [
      Version(content: content, issued: time, answered: time, isDurable: true, isOptional: false)
    ]
  }

  /// The contents possible after a power cut.
  var afterPowerCut: [UInt64] { after(.powerCut) }

  /// The contents possible after the process died and recovered: every answered write is there.
  var afterProcessDeath: [UInt64] { after(.processDeath) }

  /// The contents possible after `ending`, if the replacement that was issued at `time` has taken
  /// place for sure, or surely has not.
  func after(
    _ ending: ReferenceModel.Ending, replacedAt time: UInt64? = nil, isReplaced: Bool = false
  ) -> [UInt64] {
    var history = self
    if let time, !isReplaced { history.withdraw(issued: time) }
    return history.remaining {
      (ending == .powerCut ? $0.isDurable : $0.answered != nil) || $0.issued == time
    }.map(\.content)
  }

  /// The contents that a read issued at `issued` and answered now may give.
  func readable(issued: UInt64) -> [UInt64] {
    remaining { ($0.answered ?? .max) < issued }.map(\.content)
  }

  /// Between which ticks the sector held `content`: from the first to, but without, the second at
  /// the widest.
  func life(of content: UInt64) -> Range<UInt64> {
    var first = UInt64.max
    var last: UInt64 = 0
    for version in versions where version.content == content {
      let ended = version.answered ?? .max
      let end = versions.filter { !$0.isOptional && $0.issued > ended }.compactMap(\.answered).min()
      first = min(first, version.issued)
      last = max(last, end ?? .max)
    }
    return first < last ? first..<last : 0..<0
  }

  /// The versions that no version with `isCertain` supersedes.
  private func remaining(_ isCertain: (Version) -> Bool) -> [Version] {
    var latestCertain: UInt64 = 0
    for version in versions where !version.isOptional && isCertain(version) {
      latestCertain = max(latestCertain, version.issued)
    }
    return versions.filter { ($0.answered ?? .max) >= latestCertain }
  }
}
