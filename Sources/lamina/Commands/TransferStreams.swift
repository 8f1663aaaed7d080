import Dispatch
import Glibc
import Management
import Synchronization

/// Standard output as the sink of a stream.
final class OutputSink: ByteSink {
  private let progress: TransferProgress
  private let queue = DispatchQueue(label: "lamina.output")

  init(_ progress: TransferProgress) { self.progress = progress }

  func write(_ bytes: [UInt8]) async throws(ManagementError) {
    let failure: Int32 = await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: Self.writeAll(bytes)) }
    }
    guard failure == 0 else {
      throw .system(
        "write to", file: "standard output", errorNumber: failure, code: .inputOutput)
    }
    progress.add(bytes.count)
  }

  /// The bytes that were written, and no more progress.
  func finish() -> UInt64 { progress.finish() }

  private static func writeAll(_ bytes: [UInt8]) -> Int32 {
    unsafe bytes.withUnsafeBytes { buffer in
      var at = 0
      while at < buffer.count {
        let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[at...])
        let count = unsafe Glibc.write(STDOUT_FILENO, part.baseAddress, part.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return errno }
        at += count
      }
      return 0
    }
  }
}

/// Standard input as the source of a stream. Whoever is cancelled stops waiting for it at once.
final class InputSource: ByteSource {
  private static let pieceBytes = 1 << 20
  private typealias Piece = Result<[UInt8], ManagementError>
  private typealias Waiting = CheckedContinuation<Piece, Never>

  private let progress: TransferProgress
  private let queue = DispatchQueue(label: "lamina.input")
  private let waiting = Mutex<Waiting?>(nil)

  init(_ progress: TransferProgress) { self.progress = progress }

  func next() async throws(ManagementError) -> [UInt8]? {
    let piece = await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: Waiting) in
        waiting.withLock { $0 = continuation }
        if Task.isCancelled { return answer(.success([])) }
        queue.async { self.answer(Self.read()) }
      }
    } onCancel: {
      answer(.success([]))
    }
    let bytes = try piece.get()
    progress.add(bytes.count)
    return bytes.isEmpty ? nil : bytes
  }

  /// The bytes that were read, and no more progress.
  func finish() -> UInt64 { progress.finish() }

  private func answer(_ piece: Piece) {
    let taken = waiting.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }
    taken?.resume(returning: piece)
  }

  private static func read() -> Piece {
    var failure: Int32 = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: pieceBytes) { buffer, count in
      while true {
        let got = unsafe Glibc.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
        if got < 0 && errno == EINTR { continue }
        if got < 0 { failure = errno }
        count = max(0, got)
        return
      }
    }
    guard failure == 0 else {
      return .failure(
        .system("read", file: "standard input", errorNumber: failure, code: .inputOutput))
    }
    return .success(bytes)
  }
}

/// How much of a stream has passed, on a terminal, once it has taken more than a second.
final class TransferProgress: Sendable {
  private struct State {
    var bytes: UInt64 = 0
    var shown: ContinuousClock.Instant
    var isVisible = false
  }

  private let title: String
  private let expectedBytes: UInt64
  private let start = ContinuousClock.now
  private let state: Mutex<State>

  /// - Parameter expectedBytes: about how many there will be; 0: not known.
  init(_ title: String, expectedBytes: UInt64) {
    self.title = title
    self.expectedBytes = expectedBytes
    state = Mutex(State(shown: start))
  }

  func add(_ count: Int) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.bytes += UInt64(count)
      guard StandardStreams.errorIsTerminal, start.duration(to: now) > .seconds(1),
        state.shown.duration(to: now) > .milliseconds(200)
      else { return }
      state.shown = now
      state.isVisible = true
      StandardStreams.writePart(
        "\r"
          + Self.line(
            title, done: state.bytes, expected: expectedBytes,
            elapsedSeconds: start.duration(to: now) / .seconds(1)))
    }
  }

  /// Wipes the line; gives the bytes that have passed.
  func finish() -> UInt64 {
    state.withLock { state in
      if state.isVisible {
        StandardStreams.writePart("\r" + String(repeating: " ", count: 78) + "\r")
      }
      state.isVisible = false
      return state.bytes
    }
  }

  /// What has passed, how fast, and how long the rest takes as far as that can be told.
  static func line(
    _ title: String, done: UInt64, expected: UInt64, elapsedSeconds: Double
  ) -> String {
    let rate = elapsedSeconds > 0 ? Double(done) / elapsedSeconds : 0
    let speed = "\(SizeText.human(UInt64(rate)))/s"
    guard expected > 0, rate > 0 else {
      return "\(title) \(SizeText.human(done)), \(speed)  "
    }
    let part = min(1, Double(done) / Double(expected))
    let filled = Int(part * 20)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 20 - filled)
    let left = Int(max(0, Double(expected) - Double(done)) / rate)
    return "\(title) [\(bar)] \(SizeText.human(done)), \(speed), about \(left) s left  "
  }
}
