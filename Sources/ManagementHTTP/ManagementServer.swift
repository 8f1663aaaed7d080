import FoundationEssentials
import Hummingbird
import HummingbirdCore
public import Logging
public import Management
import NIOCore
import ServiceLifecycle

/// The control API of one pool on a unix socket that only its owner may use (mode 0600).
///
/// The caller must hold the pool: a socket that nobody answers at is then left over from a server
/// that was killed, and is replaced. One that is answered at is refused.
public actor ManagementServer {
  /// The largest body of a request, in bytes.
  public static let maximumBodyBytes = 64 << 10
  /// Connections that are served at once; more wait.
  public static let maximumConnections = 64
  /// How long an idle connection is kept, in seconds.
  public static let idleTimeoutSeconds: Int64 = 60
  private static let stopTimeoutSeconds: Int64 = 3

  public nonisolated let socketPath: String
  private let identity: SocketFile.Identity?
  private let group: ServiceGroup
  private let run: Task<Void, Never>

  private init(
    socketPath: String, identity: SocketFile.Identity?, group: ServiceGroup,
    run: Task<Void, Never>
  ) {
    self.socketPath = socketPath
    self.identity = identity
    self.group = group
    self.run = run
  }

  /// Returns when the socket answers. Throws `addressInUse` if another server answers there or the
  /// path is taken by something else, `addressInvalid` if no socket can be made there.
  public static func start(
    serving service: any PoolService, socketPath: String,
    routes: [ManagementRoute] =
      ManagementRoutes.all,
    logger: Logger
  ) async throws(ManagementError) -> ManagementServer {
    try SocketFile.checkFree(socketPath)
    let (running, continuation) = AsyncStream<Result<Void, ManagementError>>.makeStream()
    let application = Application(
      router: router(routes, serving: service),
      server: .http1(configuration: .init(idleTimeout: .seconds(idleTimeoutSeconds))),
      configuration: .init(
        address: .unixDomainSocket(path: socketPath), serverName: nil,
        availableConnectionsDelegate: MaximumAvailableConnections(maximumConnections)),
      onServerRunning: { _ in continuation.yield(.success(())) }, logger: logger)
    var configuration = ServiceGroupConfiguration(services: [application], logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(stopTimeoutSeconds)
    let group = ServiceGroup(configuration: configuration)
    let run = Task {
      do {
        try await group.run()
      } catch {
        continuation.yield(.failure(SocketFile.refusal(error, path: socketPath)))
        logger.debug("the control API ended: \(error)")
      }
      continuation.finish()
    }
    var outcomes = running.makeAsyncIterator()
    switch await outcomes.next() {
    case .success?: break
    case .failure(let error)?: throw error
    case nil:
      throw ManagementError(.serverStopping, "the control API was stopped before it ran")
    }
    do {
      let identity = try SocketFile.makePrivate(socketPath)
      return ManagementServer(
        socketPath: socketPath, identity: identity, group: group, run: run)
    } catch {
      await group.triggerGracefulShutdown()
      await run.value
      throw error
    }
  }

  /// Answers the requests under way, at most for three seconds, and removes the socket.
  public func stop() async {
    await group.triggerGracefulShutdown()
    await run.value
    SocketFile.remove(socketPath, ifStill: identity)
  }

  private static func router(
    _ routes: [ManagementRoute], serving service: any PoolService
  ) -> Router<ControlContext> {
    let router = Router(context: ControlContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: ProblemMiddleware())
    for route in routes {
      router.on(RouterPath(route.path), method: httpMethod(route.method)) { request, context in
        let body = try await request.body.collect(upTo: maximumBodyBytes)
        var input = ManagementRoute.Input(body: Data(body.readableBytesView))
        for (name, value) in context.parameters {
          input.pathParameters[String(name)] = String(value)
        }
        return response(to: try await route.action(input, service))
      }
    }
    StreamRoutes.add(to: router, serving: service)
    refuseOtherMethods(routes.map { ($0.method, $0.path) } + StreamRoutes.all, on: router)
    return router
  }

  /// A path that exists says which methods it has, instead of not being found.
  private static func refuseOtherMethods(
    _ routes: [(method: ManagementRoute.Method, path: String)], on router: Router<ControlContext>
  ) {
    for (path, present) in Dictionary(grouping: routes, by: \.path) {
      let methods = Set(present.map(\.method))
      let names = methods.map(\.rawValue).sorted().joined(separator: ", ")
      for method in ManagementRoute.Method.allCases where !methods.contains(method) {
        router.on(RouterPath(path), method: httpMethod(method)) { request, _ in
          let problem = ManagementError(
            .methodNotAllowed, "\(method.rawValue) is not possible at \(request.uri.path)",
            correction: "Use \(names).",
            objects: [ManagementObject(.route, "\(method.rawValue) \(request.uri.path)")])
          var response = ProblemMiddleware<ControlContext>.answer(problem)
          response.headers[.allow] = names
          return response
        }
      }
    }
  }

  private static func httpMethod(_ method: ManagementRoute.Method) -> HTTPRequest.Method {
    switch method {
    case .get: .get
    case .post: .post
    case .put: .put
    case .patch: .patch
    case .delete: .delete
    }
  }

  private static func response(to answer: ManagementRoute.Answer) -> Response {
    var response = Response(status: .init(code: answer.status))
    if let body = answer.body {
      response.headers[.contentType] = answer.contentType
      response.body = ResponseBody(byteBuffer: ByteBuffer(bytes: body))
    }
    response.headers[.location] = answer.location
    return response
  }
}
