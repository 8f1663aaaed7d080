import ArgumentParser
import Foundation
import ServerHarness
import Torture

/// `make torture`.
@main struct TortureRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lamina-torture",
    abstract: "Kill a server under load, again and again, and check what it answered.")

  @Option(help: "How often the server is killed, for each kind of crash.")
  var rounds = 50

  @Option(help: "What requests and kills are drawn from.")
  var seed: UInt64 = .random(in: 1...999_999_999)

  @Option(help: "process, power or lies; both of the first where none is given.")
  var crash: String?

  func run() throws {
    var crashes: [Torture.Crash] = [.process, .power]
    if let crash {
      guard let kind = Torture.Crash(rawValue: crash) else {
        throw ValidationError("A crash is process, power or lies, not '\(crash)'.")
      }
      crashes = [kind]
    }
    guard rounds > 0 else { throw ValidationError("There is at least one round.") }
    print("seed \(seed)")
    for kind in crashes {
      let torture = Torture(kind, rounds: rounds, seed: seed) { line in
        print(line)
        fflush(nil)
      }
      do {
        try torture.run()
      } catch {
        print("FAILED: \(error)")
        throw ExitCode(1)
      }
    }
    print("nothing was lost")
  }
}
