import BlockExport

/// The requests that this process itself has for volumes: a target without a socket. On the
/// engine's thread.
///
/// Their tokens have the highest bit set, so that the answers are told from those of other targets.
final class LocalRequests {
  typealias Done = @Sendable (ExportAnswer, [BlockStatusExtent]) -> Void

  private static let mark: UInt64 = 1 << 63
  private var waiting: [ExportRequest] = []
  private var inWork: [UInt64: Done] = [:]
  private var nextNumber: UInt64 = 0

  /// Takes a request; `done` is called once, on this thread.
  func add(_ request: ExportRequest, _ done: @escaping Done) {
    var request = request
    request.token = Self.mark | nextNumber
    nextNumber += 1
    inWork[request.token] = done
    waiting.append(request)
  }

  /// There are requests that have not been answered.
  var isBusy: Bool { !inWork.isEmpty }

  /// There are requests that the engine has not taken.
  var hasRequests: Bool { !waiting.isEmpty }

  /// Gives what has been asked for to the engine, oldest first, until `submit` takes no more.
  func submitRequests(_ submit: (ExportRequest) -> Bool) {
    guard !waiting.isEmpty else { return }
    let taken = waiting.firstIndex { !submit($0) } ?? waiting.count
    waiting.removeFirst(taken)
  }

  /// Takes an answer of the engine; false if it is somebody else's.
  func deliver(_ answer: ExportAnswer, extents: Span<BlockStatusExtent>) -> Bool {
    guard answer.token & Self.mark != 0 else { return false }
    guard let done = inWork.removeValue(forKey: answer.token) else {
      preconditionFailure("an answer that nobody waits for")
    }
    done(answer, (0..<answer.extentCount).map { extents[answer.firstExtent + $0] })
    return true
  }

  /// Answers what the engine never took, when there is no engine any more.
  func refuseAll() {
    precondition(waiting.count == inWork.count, "the engine ended with requests in work")
    for (token, done) in inWork { done(ExportAnswer(token: token, error: .shuttingDown), []) }
    inWork = [:]
    waiting = []
  }
}
