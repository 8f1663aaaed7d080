import FoundationEssentials
public import Management
import NIOCore
import NIOHTTP1
import NIOPosix

/// The commands and queries of a pool, asked of its running server over the control socket. Each
/// opens a connection of its own.
///
/// Beside what `PoolService` says, every method throws `serverNotRunning` if nobody answers at the
/// socket, `serverUnreachable`, `permissionDenied` or `timedOut` if somebody might, and
/// `protocolViolation` if the answer cannot be understood. After `timedOut` the command may have
/// been carried out, or may be yet.
public struct ManagementClient: PoolService {
  /// The largest answer that is read, in bytes.
  public static let maximumAnswerBytes = 64 << 20

  public let socketPath: String
  public let timeoutMilliseconds: Int64
  static let connectTimeoutMilliseconds: Int64 = 5000

  public init(socketPath: String, timeoutMilliseconds: Int64 = 60_000) {
    precondition(timeoutMilliseconds > 0)
    self.socketPath = socketPath
    self.timeoutMilliseconds = timeoutMilliseconds
  }

  public func status() async throws(ManagementError) -> PoolStatus {
    try await value(.GET, "/v1/pool")
  }

  public func listVolumes() async throws(ManagementError) -> [VolumeDescription] {
    let list: VolumeList = try await value(.GET, "/v1/volumes")
    return list.volumes
  }

  public func volume(named name: VolumeName) async throws(ManagementError) -> VolumeDescription {
    try await value(.GET, "/v1/volumes/\(name)")
  }

  public func createVolume(
    _ specification: VolumeSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    try await value(.POST, "/v1/volumes", body: ManagementJSON.encode(specification))
  }

  public func deleteVolume(
    named name: VolumeName, permanently: Bool
  ) async throws(ManagementError) {
    _ = try await exchange(.DELETE, "/v1/volumes/\(name)\(permanently ? "/permanently" : "")")
  }

  public func resizeVolume(
    named name: VolumeName, to sizeBytes: UInt64, shrink: Bool
  ) async throws(ManagementError) -> VolumeDescription {
    try await change(name, VolumeChange(sizeBytes: sizeBytes, shrink: shrink))
  }

  public func renameVolume(
    named name: VolumeName, to newName: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    try await change(name, VolumeChange(name: newName))
  }

  public func setFullPolicy(
    of name: VolumeName, to policy: FullPolicy
  ) async throws(ManagementError) -> VolumeDescription {
    try await change(name, VolumeChange(fullPolicy: policy))
  }

  private func change(
    _ name: VolumeName, _ change: VolumeChange
  ) async throws(ManagementError) -> VolumeDescription {
    try await value(.PATCH, "/v1/volumes/\(name)", body: ManagementJSON.encode(change))
  }

  public func renameSnapshot(
    _ name: SnapshotName, to newName: SnapshotName
  ) async throws(ManagementError) -> VolumeDescription {
    let change = SnapshotChange(name: newName)
    return try await value(.PATCH, "/v1/snapshots/\(name)", body: ManagementJSON.encode(change))
  }

  public func metrics() async throws(ManagementError) -> String {
    let answer = try await exchange(.GET, "/metrics")
    return String(decoding: answer.body.readableBytesView, as: UTF8.self)
  }

  public func listSnapshots() async throws(ManagementError) -> [VolumeDescription] {
    let list: SnapshotList = try await value(.GET, "/v1/snapshots")
    return list.snapshots
  }

  public func createSnapshots(
    _ names: [SnapshotName]
  ) async throws(ManagementError) -> [VolumeDescription] {
    let list: SnapshotList = try await value(
      .POST, "/v1/snapshots",
      body: ManagementJSON.encode(SnapshotSpecification(snapshots: names)))
    return list.snapshots
  }

  public func deleteSnapshot(
    _ name: SnapshotName, permanently: Bool
  ) async throws(ManagementError) {
    _ = try await exchange(.DELETE, "/v1/snapshots/\(name)\(permanently ? "/permanently" : "")")
  }

  public func listTrash() async throws(ManagementError) -> [TrashItem] {
    let list: TrashList = try await value(.GET, "/v1/trash")
    return list.items
  }

  public func restoreFromTrash(
    _ name: ContentName, _ specification: RestoreSpecification
  ) async throws(ManagementError) -> VolumeDescription {
    try await value(
      .POST, "/v1/trash/\(name)/restore", body: ManagementJSON.encode(specification))
  }

  public func emptyTrash(_ name: ContentName?) async throws(ManagementError) {
    _ = try await exchange(.DELETE, "/v1/trash" + (name.map { "/\($0)" } ?? ""))
  }

  public func change(_ change: PoolChange) async throws(ManagementError) -> PoolStatus {
    try await value(.PATCH, "/v1/pool", body: ManagementJSON.encode(change))
  }

  public func cloneSnapshot(
    _ name: SnapshotName, as clone: VolumeName
  ) async throws(ManagementError) -> VolumeDescription {
    try await value(
      .POST, "/v1/snapshots/\(name)/clone",
      body: ManagementJSON.encode(CloneSpecification(name: clone)))
  }

  public func rollBack(to name: SnapshotName) async throws(ManagementError) {
    _ = try await exchange(.POST, "/v1/snapshots/\(name)/rollback")
  }

  public func listBookmarks() async throws(ManagementError) -> [BookmarkDescription] {
    let list: BookmarkList = try await value(.GET, "/v1/bookmarks")
    return list.bookmarks
  }

  public func createBookmark(
    _ specification: BookmarkSpecification
  ) async throws(ManagementError) -> BookmarkDescription {
    try await value(.POST, "/v1/bookmarks", body: ManagementJSON.encode(specification))
  }

  public func deleteBookmark(_ name: BookmarkName) async throws(ManagementError) {
    _ = try await exchange(.DELETE, "/v1/volumes/\(name.volume)/bookmarks/\(name.mark)")
  }

  public func changes(
    _ specification: ChangeSpecification
  ) async throws(ManagementError) -> ChangeList {
    try await value(.POST, "/v1/changes", body: ManagementJSON.encode(specification))
  }

  public func listHolds() async throws(ManagementError) -> [HoldDescription] {
    let list: HoldList = try await value(.GET, "/v1/holds")
    return list.holds
  }

  public func placeHold(_ hold: HoldSpecification) async throws(ManagementError) {
    _ = try await exchange(.POST, "/v1/holds", body: ManagementJSON.encode(hold))
  }

  public func releaseHold(
    _ tag: HoldTag, on name: ContentName
  ) async throws(ManagementError) {
    _ = try await exchange(.DELETE, "/v1/holds/\(name)/\(tag)")
  }

  public func checkpoint() async throws(ManagementError) {
    _ = try await exchange(.POST, "/v1/pool/checkpoint")
  }

  public func estimateSpace(
    of query: SpaceQuery
  ) async throws(ManagementError) -> SpaceEstimate {
    try await value(.POST, "/v1/space/estimate", body: ManagementJSON.encode(query))
  }

  public func spaceUsage() async throws(ManagementError) -> SpaceUsage {
    try await value(.GET, "/v1/space")
  }

  public func pinImage() async throws(ManagementError) -> ImagePin {
    try await value(.POST, "/v1/pool/pin")
  }

  public func renewImagePin(_ id: UInt64, thaw: Bool) async throws(ManagementError) {
    _ = try await exchange(
      .PUT, "/v1/pool/pin/\(id)", body: ManagementJSON.encode(ImagePinRenewal(thaw: thaw)))
  }

  public func releaseImagePin(_ id: UInt64) async throws(ManagementError) {
    _ = try await exchange(.DELETE, "/v1/pool/pin/\(id)")
  }

  /// What the server is; it may be older or newer than this program.
  public func version() async throws(ManagementError) -> LaminaVersion {
    try await value(.GET, "/v1/version")
  }

  private func value<Value: Decodable>(
    _ method: HTTPMethod, _ path: String, body: Data? = nil
  ) async throws(ManagementError) -> Value {
    try value(in: try await exchange(method, path, body: body))
  }

  /// What an answer holds; one that reports a problem is thrown.
  func value<Value: Decodable>(
    in answer: HTTPExchange.Answer
  ) throws(ManagementError) -> Value {
    guard (200..<300).contains(answer.status.code) else { throw problem(in: answer) }
    do {
      return try ManagementJSON.decode(Value.self, from: Data(answer.body.readableBytesView))
    } catch {
      throw violation(cause: error.message)
    }
  }

  /// Sends one request and reads its answer; an answer that reports a problem is thrown.
  private func exchange(
    _ method: HTTPMethod, _ path: String, body: Data? = nil
  ) async throws(ManagementError) -> HTTPExchange.Answer {
    let request = HTTPExchange.Request(
      method: method, path: path, body: body.map { ByteBuffer(bytes: $0) })
    let answer: HTTPExchange.Answer
    do {
      answer = try await send(request)
    } catch {
      throw ManagementClientProblem.of(
        error, socketPath: socketPath, timeoutMilliseconds: timeoutMilliseconds)
    }
    guard (200..<300).contains(answer.status.code) else { throw problem(in: answer) }
    return answer
  }

  func problem(in answer: HTTPExchange.Answer) -> ManagementError {
    let data = Data(answer.body.readableBytesView)
    if let problem = try? ManagementJSON.decode(ManagementError.self, from: data) {
      return problem
    }
    return violation(
      cause: "It answered with status \(answer.status.code) and no description of the problem")
  }

  private func violation(cause: String) -> ManagementError {
    ManagementError(
      .protocolViolation, "the answer of the server cannot be understood", cause: cause + ".",
      correction: "Use the 'lamina' of the server's own version.",
      objects: [ManagementObject(.file, socketPath)])
  }

  private func send(_ request: HTTPExchange.Request) async throws -> HTTPExchange.Answer {
    let loop = MultiThreadedEventLoopGroup.singleton.any()
    let answer = loop.makePromise(of: HTTPExchange.Answer.self)
    let timeout = TimeAmount.milliseconds(timeoutMilliseconds)
    let connecting = ClientBootstrap(group: loop)
      .connectTimeout(.milliseconds(Self.connectTimeoutMilliseconds))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHTTPClientHandlers()
          try channel.pipeline.syncOperations.addHandler(
            HTTPExchange(request, answer: answer, timeout: timeout))
        }
      }
      .connect(unixDomainSocketPath: socketPath)
    // Whoever fails first decides: the handler's own failure comes with its connection.
    connecting.whenFailure { answer.fail($0) }
    return try await answer.futureResult.get()
  }
}
