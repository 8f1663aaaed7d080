import ArgumentParser
import Management
import PoolInspection
import PoolServer
import StorageUnits

struct PoolDumpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dump", abstract: "Show a structure of a pool as it is on its devices.",
    discussion: """
      Structures: superblock, members, segments, catalogue, volume NAME, node ADDRESS, journal, \
      counts SEGMENT, doomed, holds, owed. What is damaged is shown as far as it can be decoded, \
      with what is wrong. Nothing is written. The pool must not be served meanwhile.

      Examples:
        lamina pool dump tank superblock
        lamina pool dump tank volume disk --json | jq .entries
        lamina pool dump --device /srv/a.img --device /srv/b.img journal
      """)

  @Argument(
    help: ArgumentHelp(
      "The pool (unless --device is given), the structure, and which one.",
      valueName: "pool structure [which]"))
  var words: [String]

  @OptionGroup var source: DeviceOptions

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let request = try request()
      let devices = try source.open(pool: request.pool, for: .look, in: state)
      defer { devices.close() }
      let dump = PoolDump(devices: devices.devices)
      do throws(PoolDump.Problem) {
        return PoolDumpResult(output: try dump.dump(request.structure))
      } catch { throw refusal(error) }
    }
  }

  /// The pool, nil for devices that are named, and what is to be shown.
  func request() throws(ManagementError) -> (pool: String?, structure: PoolDump.Structure) {
    var rest = words[...]
    let pool = source.devices.isEmpty ? rest.popFirst() : nil
    try source.check(pool: pool, command: "dump")
    guard let name = rest.popFirst() else { throw usage("no structure is named") }
    let which = rest.popFirst()
    guard rest.isEmpty else { throw usage("'\(rest.joined(separator: " "))' is too much") }
    return (pool, try structure(name, which))
  }

  private func structure(
    _ name: String, _ which: String?
  ) throws(ManagementError) -> PoolDump.Structure {
    let simple: [String: PoolDump.Structure] = [
      "superblock": .superblock, "members": .members, "segments": .segments,
      "catalogue": .catalogue, "journal": .journal, "doomed": .doomed, "holds": .holds,
      "owed": .owed,
    ]
    if let structure = simple[name] {
      guard which == nil else { throw usage("'\(name)' takes nothing behind it") }
      return structure
    }
    guard ["volume", "node", "counts"].contains(name) else {
      throw usage("there is no structure '\(name)'")
    }
    guard let which else { throw usage("'\(name)' needs to know which one") }
    if name == "volume" { return .volume(which) }
    let number = which.hasPrefix("0x") ? UInt64(which.dropFirst(2), radix: 16) : UInt64(which)
    guard let number, name == "node" || number <= UInt64(UInt32.max) else {
      throw usage("'\(which)' is not a number")
    }
    return name == "node"
      ? .node(PoolAddress(block: number)) : .counts(SegmentIndex(index: UInt32(number)))
  }

  private func usage(_ message: String) -> ManagementError {
    ManagementError(
      .invalidArgument, message,
      correction: "Use superblock, members, segments, catalogue, volume NAME, node ADDRESS,"
        + " journal, counts SEGMENT, doomed or holds.")
  }

  private func refusal(_ problem: PoolDump.Problem) -> ManagementError {
    switch problem {
    case .noSuperblock:
      ManagementError(
        .deviceDamaged, problem.text, correction: "'superblock' shows what there is.")
    case .noSegmentTable:
      ManagementError(
        .poolDamaged, problem.text, correction: "'segments' and 'superblock' show what there is.")
    case .noSuchVolume:
      ManagementError(.volumeNotFound, problem.text, correction: "'catalogue' shows all volumes.")
    case .catalogueDamaged:
      ManagementError(
        .poolDamaged, problem.text, correction: "'catalogue' and 'node ADDRESS' show what there is."
      )
    case .noSuchSegment, .noSuchAddress:
      ManagementError(
        .invalidArgument, problem.text, correction: "'segments' shows what there is.")
    }
  }
}

struct PoolDumpResult: CommandResult {
  var output: DumpValue
  var text: String? { output.lines.joined(separator: "\n") }
  var nextCommand: String? { nil }
}
