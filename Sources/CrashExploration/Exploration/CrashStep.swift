/// One crash: when, how, and what it left.
public struct CrashStep: Hashable, Sendable, CustomStringConvertible {
  /// Counts the I/O events of the history, or of the start that it cuts off.
  public var event: Int
  public var ending: CrashEnding
  public var choice: CrashChoice

  public init(event: Int, ending: CrashEnding, choice: CrashChoice) {
    self.event = event
    self.ending = ending
    self.choice = choice
  }

  public var description: String { "\(ending.rawValue)@\(event):\(choice)" }

  /// Reads what `description` gives.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ":", maxSplits: 1)
    guard parts.count == 2, let choice = CrashChoice(parts[1]) else { return nil }
    let head = parts[0].split(separator: "@")
    guard head.count == 2, let ending = CrashEnding(rawValue: String(head[0])),
      let event = Int(head[1])
    else { return nil }
    self.init(event: event, ending: ending, choice: choice)
  }

  /// Reads crashes that follow one another, joined by a slash.
  public static func path(_ text: String) -> [CrashStep]? {
    var steps: [CrashStep] = []
    for part in text.split(separator: "/") {
      guard let step = CrashStep(part) else { return nil }
      steps.append(step)
    }
    return steps.isEmpty ? nil : steps
  }
}
