/// What reached the medium of a write that was torn: a range of its sectors, or all but a range.
public struct TornWrite: Hashable, Sendable, CustomStringConvertible {
  /// The position of the write among the volatile ones.
  public var write: Int
  /// In units of 512 bytes from the start of the write.
  public var sectors: Range<Int>
  /// Those sectors alone did not reach the medium.
  public var isHole = false

  public var description: String {
    "\(write)[\(isHole ? "!" : "")\(sectors.lowerBound)-\(sectors.upperBound)]"
  }

  /// Whether a sector of the write reached the medium.
  func keeps(_ sector: Int) -> Bool { sectors.contains(sector) != isHole }
}

/// What a crash left of the volatile writes.
public struct CrashChoice: Hashable, Sendable, CustomStringConvertible {
  /// Bit i: write i is there wholly.
  public var kept: UInt64
  /// Not among the kept ones; in order.
  public var torn: [TornWrite]

  public init(kept: UInt64 = 0, torn: [TornWrite] = []) {
    self.kept = kept
    self.torn = torn
  }

  public var description: String {
    ([String(kept, radix: 16)] + torn.map(\.description)).joined(separator: "+")
  }

  /// Reads what `description` gives.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "+")
    guard let first = parts.first, let kept = UInt64(first, radix: 16) else { return nil }
    self.init(kept: kept)
    for part in parts.dropFirst() {
      let numbers = part.split { "[]-!".contains($0) }.compactMap { Int($0) }
      guard numbers.count == 3, numbers[1] < numbers[2] else { return nil }
      torn.append(
        TornWrite(
          write: numbers[0], sectors: numbers[1]..<numbers[2], isHole: part.contains("!")))
    }
  }
}
