import Dispatch
import Glibc
import Management
import PoolServer
import Synchronization

/// The command for whose life a pool is served (`serve --run`).
///
/// A shell runs it, with `uri`, `socket` and `LAMINA_CONTROL` set. When it ends the server stops;
/// when the server stops first it gets SIGTERM.
final class CompanionCommand: Sendable {
  private enum State {
    case waiting
    case running(pid_t)
    case ended(Int32)
    case failed(ManagementError)
  }

  private let command: String
  private let state = Mutex(State.waiting)
  private let ended = DispatchSemaphore(value: 0)

  init(_ command: String) { self.command = command }

  /// Starts it; calls `stop` when it has ended, or cannot be started.
  func start(_ ready: ServerReady, stop: @escaping @Sendable () -> Void) {
    do throws(ManagementError) {
      let process = try Self.spawn(command, Self.variables(ready))
      state.withLock { $0 = .running(process) }
      DispatchQueue(label: "lamina.companion").async {
        let code = Self.wait(for: process)
        self.state.withLock { $0 = .ended(code) }
        self.ended.signal()
        stop()
      }
    } catch {
      state.withLock { $0 = .failed(error) }
      stop()
    }
  }

  /// The exit code of the command, once the server has stopped: 128 and the signal if one ended it.
  func finish() async throws(ManagementError) -> Int32 {
    let running: pid_t? = state.withLock { state in
      if case .running(let process) = state { process } else { nil }
    }
    if let running {
      kill(running, SIGTERM)
      await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
          self.ended.wait()
          continuation.resume()
        }
      }
    }
    switch state.withLock({ $0 }) {
    case .ended(let code): return code
    case .failed(let error): throw error
    case .waiting, .running: return 0
    }
  }

  private static func variables(_ ready: ServerReady) -> [String: String] {
    var variables = HostEnvironment.current.variables
    variables["uri"] = ready.uris.first ?? ""
    let unix = ready.listeners.first { $0.hasPrefix("unix:") }
    variables["socket"] = unix.map { String($0.dropFirst("unix:".count)) } ?? ""
    variables["LAMINA_CONTROL"] = ready.controlSocketPath
    return variables
  }

  private static func spawn(
    _ command: String, _ variables: [String: String]
  ) throws(ManagementError) -> pid_t {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // The server ignores these, and a program would inherit that.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for signal in [SIGTERM, SIGINT, SIGPIPE] { unsafe sigaddset(&signals, signal) }
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
    let words: [String] = ["sh", "-c", command]
    let settings: [String] = variables.map { "\($0.key)=\($0.value)" }
    var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) }
    var environment: [UnsafeMutablePointer<CChar>?] = unsafe settings.map { unsafe strdup($0) }
    unsafe arguments.append(nil)
    unsafe environment.append(nil)
    defer {
      unsafe free(all: arguments)
      unsafe free(all: environment)
    }
    var process: pid_t = 0
    let failure = unsafe posix_spawn(
      &process, "/bin/sh", nil, &attributes, &arguments, &environment)
    guard failure == 0 else {
      throw .system("run", file: "/bin/sh", errorNumber: failure, code: .inputOutput)
    }
    return process
  }

  private static func free(all texts: [UnsafeMutablePointer<CChar>?]) {
    for i in 0..<(unsafe texts.count) { unsafe Glibc.free(texts[i]) }
  }

  private static func wait(for process: pid_t) -> Int32 {
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
    let signal = status & 0x7F
    return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
  }
}
