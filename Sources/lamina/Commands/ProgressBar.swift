import PoolInspection

/// How far it is, on a terminal, once it has taken more than a second.
final class ProgressBar {
  private let title: String
  private let start = ContinuousClock.now
  private var shown = ContinuousClock.now
  private var isVisible = false

  init(_ title: String) { self.title = title }

  func show(_ progress: PoolInspector.Progress) {
    show(done: progress.done, total: progress.total)
  }

  func show(done: UInt64, total: UInt64) {
    let now = ContinuousClock.now
    guard StandardStreams.errorIsTerminal, start.duration(to: now) > .seconds(1),
      shown.duration(to: now) > .milliseconds(200)
    else { return }
    shown = now
    isVisible = true
    let elapsed = start.duration(to: now)
    StandardStreams.writePart(
      "\r"
        + Self.line(
          title, done: done, total: total,
          elapsedSeconds: Double(elapsed.components.seconds)))
  }

  func clear() {
    if isVisible { StandardStreams.writePart("\r" + String(repeating: " ", count: 78) + "\r") }
    isVisible = false
  }

  static func line(
    _ title: String, done: UInt64, total: UInt64, elapsedSeconds: Double
  ) -> String {
    let part = total == 0 ? 0 : Double(done) / Double(total)
    let filled = Int(part * 30)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
    let left = part > 0 ? Int(elapsedSeconds / part - elapsedSeconds) : 0
    return "\(title) [\(bar)] \(Int(part * 100)) %, about \(left) s left  "
  }
}
