import ArgumentParser
import Glibc
import Management
import PoolServer

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve the volumes of a pool over NBD.",
    discussion: """
      Every volume is an export of its name. The server ends cleanly on SIGTERM and SIGINT; when \
      it is killed, no write that was answered is lost.

      With --run the pool is served for the life of one command, which finds the address in $uri \
      and $socket, and whose exit code is the server's.

      A service that systemd starts by a socket unit serves at the sockets it is given.

      Whoever reaches a TCP address can read and write every volume: NBD knows no users.

      Examples:
        lamina serve tank
        lamina serve tank --listen unix:/run/tank.sock --listen 127.0.0.1:10809
        lamina serve tank --default-export disk
        lamina serve tank --run 'qemu-img info "$uri"'
      """)

  @Argument(help: "The name of the pool.")
  var pool: String

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "Where to wait for hosts: unix:PATH, HOST:PORT or [IPV6]:PORT; may be repeated.",
      discussion: "Default: the unix socket POOL.sock in the state folder.",
      valueName: "address"))
  var listen: [String] = []

  @Option(
    help: ArgumentHelp(
      "The volume for hosts that name none.",
      discussion: "Default: the only volume, if there is just one.", valueName: "volume"))
  var defaultExport: String?

  @Option(
    help: ArgumentHelp("direct (O_DIRECT) or buffered; default: the pool's.", valueName: "mode"))
  var cache: String?

  @Option(help: ArgumentHelp("How many hosts may be connected at once.", valueName: "count"))
  var maxConnections = 256

  @Option(
    help: ArgumentHelp("How much memory the cache of table nodes may take.", valueName: "size"))
  var nodeCache: String?

  @Option(
    help: ArgumentHelp(
      "How long a host may take to choose its export.", valueName: "seconds"))
  var handshakeTimeout = 30

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp(
      "Serve only while this shell command runs.",
      discussion: "It finds $uri, $socket and $LAMINA_CONTROL.", valueName: "command"))
  var command: String?

  @Option(
    help: ArgumentHelp(
      "End when no host has been connected for so long.", valueName: "seconds"))
  var idleExit: Int?

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let json = shared.json
    try await shared.report { (state) throws(ManagementError) in
      let options = try options(in: state)
      _ = try state.record(of: options.pool)
      // What a server creates, the sockets first of all, is its owner's only.
      umask(0o077)
      guard let command else {
        try await Wiring.pools.serve(options, in: state) { ready, _ in
          StandardStreams.writeOutput(json ? Self.line(ready) : Self.text(ready))
        }
        return StoppedResult()
      }
      let companion = CompanionCommand(command)
      do throws(ManagementError) {
        try await Wiring.pools.serve(options, in: state) { ready, stop in
          companion.start(ready, stop: stop)
        }
      } catch {
        _ = try? await companion.finish()
        throw error
      }
      return StoppedResult(exitCode: try await companion.finish())
    }
  }

  func options(in state: StateFolder) throws(ManagementError) -> ServeOptions {
    let pool = try PoolName(pool)
    var listeners: [ListenAddress] = []
    for text in listen {
      let address = try ListenAddress(text).resolved(in: .current)
      guard !listeners.contains(address) else {
        throw ManagementError(
          .addressInvalid, "the address \(address) is given twice",
          correction: "Give each address once.",
          objects: [ManagementObject(.address, address.description)])
      }
      listeners.append(address)
    }
    let inherited = try InheritedListeners.take()
    if listeners.isEmpty && inherited.isEmpty {
      listeners = [.unix(path: try state.nbdSocketPath(of: pool))]
    }
    return ServeOptions(
      pool: pool, listeners: listeners, inheritedSockets: inherited,
      defaultExport: try defaultExport.map { (text) throws(ManagementError) in
        try VolumeName(text)
      },
      cacheMode: try cache.map { (text) throws(ManagementError) in
        try OptionText.cacheMode(text)
      },
      maximumConnections: try OptionText.count(
        maxConnections, option: "--max-connections", range: 1...4096),
      nodeCacheBytes: try nodeCacheBytes(),
      handshakeTimeoutSeconds: UInt32(
        try OptionText.count(
          handshakeTimeout, option: "--handshake-timeout", range: 1...3600)),
      idleExitSeconds: try idleExit.map { (seconds) throws(ManagementError) in
        UInt32(try OptionText.count(seconds, option: "--idle-exit", range: 1...1_000_000))
      })
  }

  private func nodeCacheBytes() throws(ManagementError) -> UInt64? {
    let range: ClosedRange<UInt64> = (1 << 20)...(1 << 40)
    guard let bytes = try OptionText.size(nodeCache) else { return nil }
    guard range.contains(bytes) else {
      throw ManagementError(
        .invalidSize, "the cache of table nodes cannot have \(bytes) bytes",
        correction: "Use 1M to 1T, or leave --node-cache out.",
        objects: [ManagementObject(.option, "--node-cache")])
    }
    return bytes
  }

  static func text(_ ready: ServerReady) -> String {
    let listeners = zip(ready.listeners, ready.uris).map { "  \($0)  \($1)" }
    return
      (["serving pool \(ready.pool) at"] + listeners
      + ["process \(ready.processID); SIGTERM or Control-C ends it cleanly"])
      .joined(separator: "\n")
  }

  /// One line, so that a script can wait for it.
  static func line(_ ready: ServerReady) -> String {
    let data = try? ManagementJSON.encode(VersionedOutput(ready))
    return data.map { String(decoding: $0, as: UTF8.self) } ?? ""
  }
}

/// What is said after a clean stop: nothing that a script would have to skip.
struct StoppedResult: CommandResult {
  struct Output: Encodable, Sendable {
    var stopped = true
  }

  /// Of the command for whose life was served.
  var exitCode: Int32 = 0

  var output: Output { Output() }
  var text: String? { nil }
  var nextCommand: String? { nil }
}
