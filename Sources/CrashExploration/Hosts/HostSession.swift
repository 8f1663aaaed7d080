public import BlockExport
public import DiskFormat
import DiskSimulation
public import StorageUnits
import PoolCore
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
    var sectors: Range<UInt64>
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
    server.engine.secondsSince1970 = expectation.wallSeconds
    server.answered = { [unowned self] in take($0) }
    server.managementAnswered = { [unowned self] in take($0) }
  }

  /// Requests on a volume that are not answered.
  func hasRequests(on volume: VolumeID) -> Bool { requests.values.contains { $0.volume == volume } }

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
      volume: volume, sectors: sectors, operation: operation, flags: flags, buffer: buffer,
      answered: answered)
    let request = unsafe ExportRequest(
      operation, flags: flags, volume: volume, offset: sectors.lowerBound * 512,
      length: UInt64(sectors.count) * 512, buffer: buffer?.pointer(toSector: sectors.lowerBound),
      token: nextToken)
    precondition(server.submit(request), "a history keeps fewer requests than there are slots")
  }

  /// Asks the engine for an operation of the administrator, with the token that `issue` is given.
  @discardableResult public func manage(
    _ issue: (VolumeEngine, _ token: UInt64) -> Void,
    answered: @escaping (HostSession, ManagementResult) -> Void
  ) -> UInt64 {
    nextToken += 1
    management[nextToken] = answered
    let token = nextToken
    issue(server.engine, token)
    return token
  }

  /// Asks for a change of what the pool says of a volume. `replacement`: it comes with that of the
  /// volume's content. `refusal`: whether the pool may refuse it so. `done`: it is durable.
  func change(
    _ id: VolumeID, _ what: String, replacement: UInt64? = nil,
    refusal: @escaping (PoolError) -> Bool = { _ in false },
    _ apply: @escaping @Sendable (inout VolumeFacts) -> Void,
    issue: (VolumeEngine, _ token: UInt64) -> Void,
    done: @escaping (HostSession) -> Void = { _ in }
  ) {
    var token: UInt64 = 0
    manage {
      token = $1
      expectation.ask(id, $1, replacement: replacement, apply)
      issue($0, $1)
    } answered: { session, result in
      switch result {
      case .done:
        if let replacement { session.expectation.model.replaced(id, issued: replacement) }
        session.expectation.answered(id, token)
        done(session)
      case .refused(let error):
        if !refusal(error) { session.judge(result, of: what) }
        session.withdraw(id, token, replacement)
      case .created, .branched, .failed:
        session.judge(result, of: what)
        // In a pool that has failed it may have taken place.
        if !session.server.engine.isReadOnly { session.withdraw(id, token, replacement) }
      }
    }
  }

  private func withdraw(_ id: VolumeID, _ token: UInt64, _ replacement: UInt64?) {
    if let replacement { expectation.model.replacementRefused(id, issued: replacement) }
    expectation.refused(id, token)
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
    switch error {
    case .volumeGone where expectation.mayBeGone(request.volume): break
    // The volume was made smaller meanwhile.
    case .outOfRange
    where request.sectors.upperBound * 512 > expectation.smallestSize(of: request.volume):
      break
    default: problems.append("a request ended with \(error)")
    }
  }
}
