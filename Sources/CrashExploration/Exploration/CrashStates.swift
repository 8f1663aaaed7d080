import DiskSimulation

/// Enumerates the legal states of a scene within bounds, and counts those that they leave out.
struct CrashStates {
  let scene: CrashScene
  let bounds: ExplorationBounds
  private(set) var leftOutSubsets = 0.0
  private(set) var leftOutTorn = 0.0

  init(_ scene: CrashScene, bounds: ExplorationBounds) {
    self.scene = scene
    self.bounds = bounds
  }

  private var count: Int { scene.writes.count }

  /// Calls `body` with each state once; false ends it.
  mutating func forEach(_ body: (CrashChoice) -> Bool) {
    let all = Array(0..<count)
    let subsets = subsets(of: all, fullUpTo: bounds.fullSubsetWrites)
    leftOutSubsets += Self.power(count) * Self.power(scene.unchoosable) - Double(subsets.count)
    for kept in subsets where !body(CrashChoice(kept: kept)) { return }
    guard bounds.tornWrites > 0 else { return }
    let forms = all.map { scene.tornForms(of: $0) }
    tear([], from: 0, forms, body)
  }

  /// Tears one more of the writes from `first` on beside those in `torn`.
  private mutating func tear(
    _ torn: [TornWrite], from first: Int, _ forms: [[TornWrite]], _ body: (CrashChoice) -> Bool
  ) {
    for write in first..<max(first, count) {
      let others = (0..<count).filter { other in
        other != write && !torn.contains { $0.write == other }
      }
      let subsets = subsets(of: others, fullUpTo: bounds.fullTornSubsetWrites)
      let missing = Self.power(others.count) - Double(subsets.count)
      leftOutTorn += missing * Double(forms[write].count)
      for form in forms[write] {
        let now = torn + [form]
        for kept in subsets where !body(CrashChoice(kept: kept, torn: now)) { return }
        if now.count < bounds.tornWrites { tear(now, from: write + 1, forms, body) }
      }
    }
  }

  private static func power(_ exponent: Int) -> Double {
    var result = 1.0
    for _ in 0..<exponent { result *= 2 }
    return result
  }

  /// Subsets of the writes `members`, each once.
  private func subsets(of members: [Int], fullUpTo full: Int) -> [UInt64] {
    let n = members.count
    if n <= full {
      return (0..<UInt64(1) << UInt64(n)).map { bits in
        var mask: UInt64 = 0
        for (i, member) in members.enumerated() where bits >> UInt64(i) & 1 == 1 {
          mask |= 1 << UInt64(member)
        }
        return mask
      }
    }
    var whole: UInt64 = 0
    for member in members { whole |= 1 << UInt64(member) }
    var found: [UInt64] = []
    var known: Set<UInt64> = []
    func add(_ mask: UInt64) { if known.insert(mask).inserted { found.append(mask) } }
    add(0)
    add(whole)
    // Everything up to some point, as a device without reordering has it.
    var prefix: UInt64 = 0
    for member in members {
      prefix |= 1 << UInt64(member)
      add(prefix)
    }
    addSmall(of: members, whole: whole, size: bounds.subsetSize, add)
    var random = SeededRandom(seed: bounds.seed ^ UInt64(n) << 32 ^ whole)
    for _ in 0..<bounds.samples { add(random.next() & whole) }
    return found
  }

  /// Subsets with at most `size` members, and their complements.
  private func addSmall(of members: [Int], whole: UInt64, size: Int, _ add: (UInt64) -> Void) {
    func extend(_ mask: UInt64, from first: Int, left: Int) {
      for i in first..<max(first, members.count) {
        let now = mask | 1 << UInt64(members[i])
        add(now)
        add(whole & ~now)
        if left > 1 { extend(now, from: i + 1, left: left - 1) }
      }
    }
    if size > 0 { extend(0, from: 0, left: size) }
  }
}
