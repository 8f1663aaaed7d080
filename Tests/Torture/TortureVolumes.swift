import Foundation
import ServerHarness

/// Creates, fills and deletes volumes and makes checkpoints until the server is dead, and knows
/// which volumes must be there.
///
/// Used by one thread at a time: its own while it runs, the torture's in between.
final class TortureVolumes: @unchecked Sendable {
  private enum State { case absent, present, unknown }

  private var states: [String: State] = [:]
  private var generator: SeededGenerator
  private(set) var answers = 0
  private(set) var checkpoints = 0
  private(set) var failure: TortureFinding?

  init(seed: UInt64) {
    generator = SeededGenerator(seed: seed)
    for n in 0..<6 { states["extra-\(n)"] = .absent }
  }

  func run(on socket: String, hosts: String, until mark: KillMark) {
    do {
      while true {
        try step(socket)
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: try checkpoint(socket)
        case 1, 2: try fill(hosts)
        default: break
        }
      }
    } catch {
      failure = mark.finding(error, of: "the control API")
    }
  }

  private func checkpoint(_ socket: String) throws {
    let answer = try ControlConnection.request("POST", "/v1/pool/checkpoint", socket: socket)
    guard answer.status == 204 else {
      throw TortureFinding("a checkpoint: \(answer.status)")
    }
    checkpoints += 1
  }

  /// Writes to a volume that is there, so that deleting it has something to give back.
  private func fill(_ hosts: String) throws {
    guard let name = states.keys.sorted().first(where: { states[$0] == .present }) else { return }
    let client = try NBDConnection(socket: hosts, export: name)
    for place in 0..<8 as Range<UInt64> {
      try client.write(place * 15_728_640, StampedBytes.random(20_480, seed: place))
    }
    try client.disconnect()
  }

  private func step(_ socket: String) throws {
    let name = "extra-\(Int.random(in: 0..<6, using: &generator))"
    let creates = states[name] == .absent
    states[name] = .unknown
    let answer =
      creates
      ? try ControlConnection.request(
        "POST", "/v1/volumes", body: "{\"name\":\"\(name)\",\"sizeBytes\":1073741824}",
        socket: socket)
      : try ControlConnection.request("DELETE", "/v1/volumes/\(name)", socket: socket)
    guard answer.status == (creates ? 201 : 204) else {
      // A server that is going down may say so; nothing else may be said.
      throw TortureFinding(
        "\(creates ? "POST" : "DELETE") of \(name): \(answer.status)"
          + " \(String(decoding: answer.body, as: UTF8.self))")
    }
    states[name] = creates ? .present : .absent
    answers += 1
  }

  /// What was answered is so; what was not may be either way.
  func check(on socket: String) throws {
    for name in states.keys.sorted() {
      let answer = try ControlConnection.request("GET", "/v1/volumes/\(name)", socket: socket)
      guard answer.status == 200 || answer.status == 404 else {
        throw TortureFinding("GET of \(name): \(answer.status)")
      }
      let found: State = answer.status == 200 ? .present : .absent
      guard states[name] == .unknown || states[name] == found else {
        throw TortureFinding(
          "volume \(name) is \(found), but \(states[name] ?? .unknown) was answered")
      }
      states[name] = found
    }
  }
}
