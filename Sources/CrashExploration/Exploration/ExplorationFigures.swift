/// What an exploration has looked at.
public struct ExplorationFigures: Hashable, Sendable {
  /// Histories that were run.
  public var histories = 0
  /// Histories with an operation that had no meaning when its turn came: not run further.
  public var impossibleHistories = 0
  /// I/O events after the last operation of a history was issued.
  public var events = 0
  /// Moments (an event and a way to end) at which crash states were enumerated.
  public var moments = 0
  /// Moments that equal an earlier one in devices, volatile writes and expectation: the states are
  /// those of the earlier one and were not enumerated again.
  public var repeatedMoments = 0
  /// Crash states that were enumerated.
  public var states = 0
  /// Of those: by a cut of power, by the death of the process, inside a recovery.
  public var cutStates = 0
  public var killStates = 0
  public var recoveryStates = 0
  /// States with a torn write.
  public var tornStates = 0
  /// States that equal an earlier one in every byte and in what is expected: judged then.
  public var repeatedStates = 0
  /// Distinct states that were judged by looking up their data under a recovery of equal tables.
  public var lookedUpStates = 0
  /// Of those: recovered all the same, with the same result.
  public var checkedLookups = 0
  /// Starts on a crash state.
  public var recoveries = 0
  /// Recoveries that may not be shared, for they read what hosts wrote, or found pages that are
  /// zeros in one state and not in the other.
  public var unsharedRecoveries = 0
  /// Recoveries that were cut off at each of their own events.
  public var crashedRecoveries = 0
  /// Recovered pools that were recovered again, emptied, stopped and counted.
  public var afterlives = 0
  /// Recovered contents that differ from each other.
  public var distinctRecovered = 0
  /// Legal subsets of volatile writes, and subsets beside a torn one, that the bounds left out.
  public var leftOutSubsets = 0.0
  public var leftOutTorn = 0.0
  /// How often each situation that a family is about was reached.
  public var situations: [String: Int] = [:]
  /// Added up over histories: the same seed and bounds give the same.
  public var logHash: UInt64 = 0

  public init() {}

  /// Every count but the two of what was left out, which can be huge.
  private static var counts: [WritableKeyPath<ExplorationFigures, Int>] {
    [
      \.histories, \.impossibleHistories, \.events, \.moments, \.repeatedMoments, \.states,
      \.cutStates, \.killStates, \.recoveryStates, \.tornStates, \.repeatedStates,
      \.lookedUpStates, \.checkedLookups, \.recoveries, \.unsharedRecoveries, \.crashedRecoveries,
      \.afterlives,
      \.distinctRecovered,
    ]
  }

  public static func += (a: inout ExplorationFigures, b: ExplorationFigures) {
    for count in counts { a[keyPath: count] += b[keyPath: count] }
    a.leftOutSubsets += b.leftOutSubsets
    a.leftOutTorn += b.leftOutTorn
    a.logHash &+= b.logHash
    a.situations.merge(b.situations, uniquingKeysWith: +)
  }

  /// The figures as fields of a line.
  var fields: String {
    (Self.counts.map { String(self[keyPath: $0]) }
      + ["\(leftOutSubsets)", "\(leftOutTorn)", String(logHash), situationField])
      .joined(separator: " ")
  }

  private var situationField: String {
    let list = situations.sorted { $0.key < $1.key }.map {
      "\($0.key.split(separator: " ").joined(separator: "_"))=\($0.value)"
    }
    return list.isEmpty ? "-" : list.joined(separator: ",")
  }

  private static func situations(_ field: Substring) -> [String: Int]? {
    var found: [String: Int] = [:]
    if field == "-" { return found }
    for item in field.split(separator: ",") {
      let parts = item.split(separator: "=")
      guard parts.count == 2, let count = Int(parts[1]) else { return nil }
      found[parts[0].split(separator: "_").joined(separator: " ")] = count
    }
    return found
  }

  /// Reads what `fields` gives; nil if it is something else.
  init?(fields: some Collection<Substring>) {
    let list = Array(fields)
    guard list.count == Self.counts.count + 4,
      let subsets = Double(list[list.count - 4]), let torn = Double(list[list.count - 3]),
      let hash = UInt64(list[list.count - 2]),
      let situations = Self.situations(list[list.count - 1])
    else { return nil }
    for (count, field) in zip(Self.counts, list) {
      guard let value = Int(field) else { return nil }
      self[keyPath: count] = value
    }
    leftOutSubsets = subsets
    leftOutTorn = torn
    logHash = hash
    self.situations = situations
  }
}

extension ExplorationFigures: CustomStringConvertible {
  public var description: String {
    """
    histories              \(histories) (\(impossibleHistories) more were impossible)
    I/O events             \(events)
    moments                \(moments), \(repeatedMoments) more equal an earlier one
    crash states           \(states): \(cutStates) power cuts, \(killStates) kills, \
    \(recoveryStates) of them inside a recovery; \(tornStates) with a torn write
      equal to earlier     \(repeatedStates)
      told by their tables \(lookedUpStates), \(checkedLookups) of them recovered all the same
      recovered            \(recoveries) (\(unsharedRecoveries) not shareable)
    recoveries cut off     \(crashedRecoveries), each at every event
    recovered again, emptied, stopped and counted  \(afterlives)
    distinct contents      \(distinctRecovered)
    left out by the bounds \(leftOutSubsets) subsets, \(leftOutTorn) beside a torn write
    log hash               \(String(logHash, radix: 16))
    """
  }
}
