/// The histories of a family that begin in one way.
public struct ExplorationUnit: Sendable {
  public let family: ExplorationFamily
  /// The choice at the first place, and at the second where there is one.
  public let prefix: [Int]
  /// Whether the history of the first choice alone belongs to it as well.
  let includesFirst: Bool
  public let historyCount: Int

  /// Names it, in a state file.
  public var name: String {
    "\(family.name)/" + prefix.map(String.init).joined(separator: ",")
  }

  func bounds(_ bounds: ExplorationBounds) -> ExplorationBounds {
    var bounds = bounds
    family.adjust(&bounds)
    return bounds
  }

  private static func length(_ family: ExplorationFamily, _ bounds: ExplorationBounds) -> Int {
    min(bounds.operations ?? family.places.count, family.places.count)
  }

  static func all(
    of family: ExplorationFamily, bounds: ExplorationBounds
  ) -> [ExplorationUnit] {
    let length = length(family, bounds)
    guard length > 0 else { return [] }
    if length == 1 {
      return family.places[0].indices.map {
        ExplorationUnit(family: family, prefix: [$0], includesFirst: false, historyCount: 1)
      }
    }
    var longer = 1
    var below = 1
    for place in family.places[..<length].dropFirst(2) {
      below *= place.count
      longer += below
    }
    return family.places[0].indices.flatMap { first in
      family.places[1].indices.map { second in
        ExplorationUnit(
          family: family, prefix: [first, second], includesFirst: second == 0,
          historyCount: longer + (second == 0 ? 1 : 0))
      }
    }
  }

  /// Calls `body` with each history; false ends it.
  func forEachHistory(
    bounds: ExplorationBounds, _ body: ([Int]) throws -> Bool
  ) throws {
    if includesFirst {
      guard try body([prefix[0]]) else { return }
    }
    _ = try extend(prefix, Self.length(family, bounds), body)
  }

  private func extend(
    _ history: [Int], _ length: Int, _ body: ([Int]) throws -> Bool
  ) throws -> Bool {
    guard try body(history) else { return false }
    guard history.count < length else { return true }
    for choice in family.places[history.count].indices {
      guard try extend(history + [choice], length, body) else { return false }
    }
    return true
  }
}
