/// Random numbers that depend on the seed alone (SplitMix64), the same on every machine and with
/// every toolchain if drawn through the methods here.
public struct SeededRandom: RandomNumberGenerator, Hashable, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  /// A number in `0 ..< bound`. The bias is below 2⁻³² for every bound that a test uses.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0)
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True once in `n` on average.
  public mutating func oneIn(_ n: Int) -> Bool { below(n) == 0 }

  /// A generator of its own, so that drawing more here does not shift what is drawn there.
  public mutating func split() -> SeededRandom { SeededRandom(seed: next()) }

  /// The finaliser of SplitMix64: a bijection whose output bits all depend on all input bits.
  @inlinable public static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
