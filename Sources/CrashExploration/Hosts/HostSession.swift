public import BlockExport
public import DiskFormat
import DiskSimulation
public import StorageUnits
public import VolumeEngine

/// Hosts and an administrator at work on a server, with the reference model beside it.
///
/// Operations issue requests through it and say what their answers mean; it keeps the buffers until
/// then, and the problems that answers show.
public final class HostSession {
  public let server: SimulatedServer
  /// What must be there if everything ended now; what is on its way included.
  public var expectation: CrashExpectation
  /// What went wrong while the server ran.
  public private(set) var problems: [String] = []
  /// Some requests are expected to end so beside `volumeGone` of a volume that is deleted; what
  /// they should have done may then have been done in part.
  public var toleratedErrors: Set<ExportError> = []
  /// Says so of an error as well, when a host is given it.
  public var toleratesError: (ExportError) -> Bool = { _ in false }
  /// What the administrator may be told beside success.
  public var toleratesResult: (ManagementResult) -> Bool = { _ in false }
  /// Called with each answer to a host, before it is judged.
  public var atAnswer: (ExportRequest.Operation, ExportRequest.Flags, ExportError?) -> Void = {
    _, _, _ in
  }
  /// Called with each answer to the administrator, before it is judged.
  public var atManagementAnswer: (ManagementResult) -> Void = { _ in }
  /// What a volume does when the pool is full: one of these, if it is drawn.
  public var fullPolicies: [FullPoolPolicy] = [.error]
  /// Requests that ended with a tolerated error.
  public private(set) var toleratedFailures = 0
  private var nextToken: UInt64 = 1
  private var nextName: UInt64
  private var requests: [UInt64: Request] = [:]
  private var management: [UInt64: (HostSession, ManagementResult) -> Void] = [:]

  private struct Request {
    var volume: VolumeID
    var operation: ExportRequest.Operation
    var flags: ExportRequest.Flags
    var buffer: RequestBuffer?
    var answered: (HostSession, ExportError?) -> Void
  }

  /// `firstName`: volumes that are created get names that count from there.
  public init(_ server: SimulatedServer, _ expectation: CrashExpectation, firstName: UInt64 = 0) {
    self.server = server
    self.expectation = expectation
    nextName = firstName
    server.answered = { [unowned self] in take($0) }
    server.managementAnswered = { [unowned self] in take($0) }
  }

  /// Requests of hosts that are not answered.
  public var requestsInFlight: Int { requests.count }
  /// Operations of the administrator that are not answered.
  public var managementInFlight: Int { management.count }

  public func note(problem: String) { problems.append(problem) }

  /// A name that no volume of this session has.
  public func freshName() -> (name: String, number: UInt64) {
    nextName += 1
    return ("v\(nextName)", nextName)
  }

  // MARK: Issuing

  /// Submits a request of a host. `answered` tells the model; it is called with the error that the
  /// host sees, or nil.
  public func submit(
    _ operation: ExportRequest.Operation, _ flags: ExportRequest.Flags = [], _ volume: VolumeID,
    sectors: Range<UInt64>, buffer: RequestBuffer? = nil,
    answered: @escaping (HostSession, ExportError?) -> Void
  ) {
    nextToken += 1
    requests[nextToken] = Request(
      volume: volume, operation: operation, flags: flags, buffer: buffer, answered: answered)
    let request = unsafe ExportRequest(
      operation, flags: flags, volume: volume, offset: sectors.lowerBound * 512,
      length: UInt64(sectors.count) * 512, buffer: buffer?.pointer(toSector: sectors.lowerBound),
      token: nextToken)
    precondition(server.submit(request), "a history keeps fewer requests than there are slots")
  }

  /// Asks the engine for an operation of the administrator, with the token that `issue` is given.
  public func manage(
    _ issue: (VolumeEngine, _ token: UInt64) -> Void,
    answered: @escaping (HostSession, ManagementResult) -> Void
  ) {
    nextToken += 1
    management[nextToken] = answered
    issue(server.engine, nextToken)
  }

  /// Notes what an operation of the administrator ended with, unless that may be.
  public func judge(_ result: ManagementResult, of what: String) {
    if result == .done || toleratesResult(result) { return }
    switch result {
    case .created, .branched: return
    case .done, .refused, .failed: break
    }
    note(problem: "\(what) ended with \(result)")
  }

  // MARK: Answers

  private func take(_ answer: ManagementAnswer) {
    guard let answered = management.removeValue(forKey: answer.token) else {
      problems.append("an answer to nothing: \(answer)")
      return
    }
    atManagementAnswer(answer.result)
    answered(self, answer.result)
  }

  private func take(_ answer: ExportAnswer) {
    guard let request = requests.removeValue(forKey: answer.token) else {
      problems.append("an answer to nothing: \(answer)")
      return
    }
    atAnswer(request.operation, request.flags, answer.error)
    request.answered(self, answer.error)
    guard let error = answer.error else { return }
    if toleratedErrors.contains(error) || toleratesError(error) {
      toleratedFailures += 1
      return
    }
    let isGoing = expectation.model.existence(of: request.volume) != .certain
    if error != .volumeGone || !isGoing { problems.append("a request ended with \(error)") }
  }
}
