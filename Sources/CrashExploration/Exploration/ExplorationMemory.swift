import Synchronization

/// What the workers of one exploration have seen, so that none judges a state twice.
final class ExplorationMemory: Sendable {
  private struct Stripe {
    var states: Set<UInt64> = []
    var moments: Set<UInt64> = []
    var contents: Set<UInt64> = []
    var pools: [UInt64: RecoveredPool] = [:]
  }
  private final class Locked: Sendable { let stripe = Mutex(Stripe()) }
  private let stripes: [Locked]
  private let statesPerStripe: Int
  private let poolsPerStripe: Int
  private static let stripeCount = 64

  /// `states`: how many fingerprints are kept at most, 8 bytes each and as much again; what was
  /// forgotten is judged again. `pools`: how many recoveries.
  init(states: Int = 24 << 20, pools: Int = 40_000) {
    stripes = (0..<Self.stripeCount).map { _ in Locked() }
    statesPerStripe = states / Self.stripeCount
    poolsPerStripe = pools / Self.stripeCount
  }

  private func stripe(_ key: UInt64) -> Locked { stripes[Int(key >> 58)] }

  /// False if the state was seen before.
  func isNew(state key: UInt64) -> Bool {
    stripe(key).stripe.withLock {
      if $0.states.count >= statesPerStripe { $0.states.removeAll(keepingCapacity: true) }
      return $0.states.insert(key).inserted
    }
  }

  func isNew(moment key: UInt64) -> Bool {
    stripe(key).stripe.withLock {
      if $0.moments.count >= statesPerStripe { $0.moments.removeAll(keepingCapacity: true) }
      return $0.moments.insert(key).inserted
    }
  }

  func isNew(contents key: UInt64) -> Bool {
    stripe(key).stripe.withLock {
      if $0.contents.count >= statesPerStripe { $0.contents.removeAll(keepingCapacity: true) }
      return $0.contents.insert(key).inserted
    }
  }

  func pool(_ key: UInt64) -> RecoveredPool? { stripe(key).stripe.withLock { $0.pools[key] } }

  func keep(_ pool: RecoveredPool, as key: UInt64) {
    stripe(key).stripe.withLock {
      if $0.pools.count >= poolsPerStripe { $0.pools.removeAll(keepingCapacity: true) }
      $0.pools[key] = pool
    }
  }
}
