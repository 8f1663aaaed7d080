import Glibc
import Synchronization

/// What an exploration has finished, in a file, so that another run goes on from there: a line that
/// names the bounds, then one for each finished unit.
///
/// A line is appended when its unit is done; a last line that was cut off by a crash is ignored.
public final class ExplorationStateFile: Sendable {
  private struct State {
    var descriptor: Int32
    var problem: Int32?
  }
  private let state: Mutex<State>

  /// Why a state file cannot be used.
  public enum Problem: Error, Hashable, Sendable, CustomStringConvertible {
    case unusable(String, errno: Int32)
    case otherBounds(String)
    public var description: String {
      switch self {
      case .unusable(let path, let errno): "\(path) cannot be used: errno \(errno)"
      case .otherBounds(let path):
        "\(path) was begun with other bounds: give the same ones, or another file"
      }
    }
  }

  private init(_ descriptor: Int32) { state = Mutex(State(descriptor: descriptor)) }

  deinit { state.withLock { _ = close($0.descriptor) } }

  /// The errno of the first write that failed.
  public var problem: Int32? { state.withLock { $0.problem } }

  /// Opens or creates the file; gives the units that are done, with their figures.
  public static func open(
    _ path: String, bounds: ExplorationBounds
  ) throws(Problem) -> (file: ExplorationStateFile, done: [String: ExplorationFigures]) {
    let descriptor = unsafe Glibc.open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .unusable(path, errno: errno) }
    let file = ExplorationStateFile(descriptor)
    guard let text = read(descriptor) else { throw .unusable(path, errno: errno) }
    let header = "bounds \(bounds)"
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    // What follows the last line break is empty, or a line that was cut off.
    let isCutOff = lines.popLast().map { !$0.isEmpty } ?? false
    if lines.isEmpty {
      if isCutOff && ftruncate(descriptor, 0) != 0 { throw .unusable(path, errno: errno) }
      file.write(header + "\n")
      return (file, [:])
    }
    guard lines[0] == header else { throw .otherBounds(path) }
    if isCutOff { file.write("\n") }
    var done: [String: ExplorationFigures] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: " ")
      guard parts.count > 1, let figures = ExplorationFigures(fields: parts.dropFirst()) else {
        continue
      }
      done[String(parts[0])] = figures
    }
    return (file, done)
  }

  /// Notes a finished unit.
  public func append(unit: String, _ figures: ExplorationFigures) {
    write("\(unit) \(figures.fields)\n")
  }

  private func write(_ line: String) {
    state.withLock { state in
      let bytes = Array(line.utf8)
      let written = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(state.descriptor, $0.baseAddress, $0.count)
      }
      if written != bytes.count && state.problem == nil {
        state.problem = written < 0 ? errno : ENOSPC
      }
    }
  }

  private static func read(_ descriptor: Int32) -> String? {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0 { return nil }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}
