import ArgumentParser
import BlockIO
import Glibc
import Management
import PoolServer

/// The real server (sockets, engine, opening, recovery, control API) on devices that lose what was
/// not flushed when the process is killed: a power cut that a test can make with SIGKILL.
///
/// The machine seems to have been started anew for each process, so that the tail, which survives a
/// killed process and no power cut, proves nothing.
@main struct VolatileServer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lamina-volatile",
    abstract: "Serve a pool on devices that lose unflushed writes when it is killed (for tests).")

  @Argument(help: "The name of the pool.")
  var pool: String

  @Option(help: "The state folder.")
  var home: String

  @Option(help: "Where to wait for hosts.")
  var listen: String

  @Option(help: "What the devices' choices are drawn from.")
  var seed: UInt64

  @Option(help: "Of 100 writes, so many get into the file before a flush.")
  var earlyPercent = 30

  @Flag(help: "Answer flushes and do nothing for them.")
  var lieAboutFlushes = false

  func run() async throws {
    let conduct = VolatileDevice.Conduct(
      earlyPercent: earlyPercent, liesAboutFlushes: lieAboutFlushes)
    let seed = seed
    let boot = SystemRandom.uuid()
    let operations = EnginePoolOperations(
      platform: PoolPlatform(
        makeDriver: { VolatileDriver($0, conduct: conduct, seed: seed) }, bootID: { boot }))
    umask(0o077)
    let state = try StateFolder(option: home, environment: .current)
    let options = ServeOptions(
      pool: try PoolName(pool),
      listeners: [try ListenAddress(listen).resolved(in: .current)], cacheMode: .buffered)
    try await operations.serve(options, in: state) { ready, _ in
      print("serving pool \(ready.pool) on volatile devices, process \(ready.processID)")
      fflush(nil)
    }
  }
}
