import ArgumentParser
import Management

struct SendCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "send", abstract: "Write a snapshot to standard output, as a stream.",
    discussion: """
      The stream holds what the snapshot holds and no more: holes take no space in it. It is whole \
      if the command ends with 0, and 'lamina receive' takes it, here or elsewhere.

      Examples:
        lamina send tank/disk@monday > monday.lamina
        lamina send tank/disk@monday | ssh backup lamina receive vault/disk
        lamina send tank/disk@tuesday --since monday | ssh backup lamina receive vault/disk
        lamina send tank/disk@tuesday --since '#monday' > changes.lamina
      """)

  @Argument(help: ArgumentHelp("The snapshot.", valueName: "pool/volume@snapshot"))
  var snapshot: String

  @Option(
    help: ArgumentHelp(
      "Send only what changed since this snapshot of the same volume, which the receiver has; it"
        + " may be gone here if a bookmark of it is left.", valueName: "snapshot|#mark"))
  var since: String?

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.reportAside { (state) throws(ManagementError) in
      let source = try SnapshotReference(snapshot)
      guard !StandardStreams.outputIsTerminal else {
        throw ManagementError(
          .invalidArgument, "a stream is nothing to be read on a terminal",
          correction: "Write it to a file or a pipe: lamina send \(source) > FILE")
      }
      let base = try since.map { (text) throws(ManagementError) in
        try SendOrder.base(text, of: source.snapshot)
      }
      let order = SendOrder(source.snapshot, since: base)
      let access = PoolAccess(state: state)
      return try await access.use(source.pool) { (service) throws(ManagementError) in
        let sent = try await service.checkSend(order)
        let expected = order.base == nil ? sent.mappedBytes : 0
        let sink = OutputSink(TransferProgress("sending", expectedBytes: expected))
        try await service.send(order, to: sink)
        return TransferResult(
          verb: "sent", output: TransferResult.Output(snapshot: sent, streamBytes: sink.finish()))
      }
    }
  }
}

struct ReceiveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "receive", abstract: "Make the snapshot that a stream on standard input holds.",
    discussion: """
      A stream that holds everything makes a new volume with the snapshot. One that holds what \
      changed since another snapshot goes into the volume that has that one, the very same and not \
      one of the same name; the volume must not have changed since, and no host may be connected.

      What was written is read back and compared with what was sent before the command says that \
      it is done; if anything goes wrong nothing of it is left behind.

      Examples:
        lamina receive vault/disk < monday.lamina
        lamina send tank/disk@monday | lamina receive vault/disk
      """)

  @Argument(help: ArgumentHelp("The volume.", valueName: "pool/volume"))
  var volume: String

  @Flag(help: "Give up what was written to the volume since the snapshot that the stream needs.")
  var rollback = false

  @Option(
    help: ArgumentHelp(
      "What a write does when the pool has no space, also while it is received: wait"
        + " (60 seconds), wait:SECONDS or error.", valueName: "policy"))
  var full: String?

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let target = try VolumeReference(volume)
      guard !StandardStreams.inputIsTerminal else {
        throw ManagementError(
          .invalidArgument, "a stream is nothing to be typed on a terminal",
          correction: "Read it from a file or a pipe: lamina receive \(target) < FILE")
      }
      let policy =
        try full.map { (text) throws(ManagementError) in try FullPolicy(text) } ?? .standard
      let access = PoolAccess(state: state)
      return try await access.use(target.pool) { (service) throws(ManagementError) in
        let source = InputSource(TransferProgress("receiving", expectedBytes: 0))
        let order = ReceiveOrder(
          target.volume, rollsBack: rollback, fullPolicy: policy)
        let made: VolumeDescription
        do throws(ManagementError) {
          made = try await service.receive(order, from: source)
        } catch {
          _ = source.finish()
          throw error
        }
        return TransferResult(
          verb: "received",
          output: TransferResult.Output(snapshot: made, streamBytes: source.finish()))
      }
    }
  }
}

/// What was sent or received.
struct TransferResult: CommandResult {
  struct Output: Encodable, Sendable {
    var snapshot: VolumeDescription
    var streamBytes: UInt64
  }

  var verb: String
  var output: Output

  var text: String? {
    "\(verb) \(output.snapshot.pool)/\(output.snapshot.name):"
      + " \(SizeText.human(output.snapshot.mappedBytes)) of"
      + " \(SizeText.human(output.snapshot.sizeBytes)),"
      + " a stream of \(SizeText.human(output.streamBytes))"
  }
  var nextCommand: String? { nil }
}
