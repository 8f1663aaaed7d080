import BlockExport
import StorageUnits

/// The handshake of one connection, from the greeting to the choice of an export (proto.md, "Fixed
/// newstyle negotiation"): bytes in, bytes and an outcome out. It does no I/O and keeps nothing of
/// what it was given.
///
/// Each step handles at most one message. Whoever drives it sends the output before the next step,
/// so that a client that does not read its replies cannot make the server hold more than one.
struct Negotiation: Sendable {
  /// What the client has settled so far.
  struct Settled: Sendable {
    /// Replies to options are understood; without this only `NBD_OPT_EXPORT_NAME` may come.
    var isFixed: Bool
    var omitsZeroes: Bool
    var structuredReplies = false
    var extendedHeaders = false
    /// The contexts that were selected last, and for which volume.
    var metaContexts: [MetaContext] = []
    var metaContextVolume: VolumeID?
    var optionCount = 0

    init(_ flags: ClientFlags) {
      isFixed = flags.contains(.fixedNewstyle)
      omitsZeroes = flags.contains(.noZeroes)
    }
  }

  enum State: Sendable {
    case awaitingClientFlags
    case haggling(Settled)
    /// An option that is too long is read over before it is answered.
    case skipping(Settled, option: UInt32, bytes: UInt32)
    /// The reply to `NBD_OPT_LIST` or `NBD_OPT_LIST_META_CONTEXT`, in pieces.
    case listing(Settled, of: NBDOption, names: [String], next: Int)
    case ended
  }

  enum Outcome: Equatable, Sendable {
    /// Nothing more can be said before more bytes have come.
    case needsBytes
    /// Call again, with what was not consumed, once the output has been sent.
    case again
    /// Send the output; then transmission begins.
    case transmit(ExportAgreement)
    /// Send the output, if any; then close.
    case close
  }

  /// How one step ended.
  struct Step: Equatable, Sendable {
    var consumed: Int
    var outcome: Outcome
  }

  var state = State.awaitingClientFlags

  /// What the server sends before it has received anything.
  static let greeting: [UInt8] = {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: NBDMagic.initial)
    bytes.append(bigEndian: NBDMagic.option)
    let flags: HandshakeFlags = [.fixedNewstyle, .noZeroes]
    bytes.append(bigEndian: flags.rawValue)
    return bytes
  }()

  /// Handles the next message, if `input` holds it whole; appends at most
  /// `NBDLimits.negotiationOutputBytes` to `output`.
  mutating func step(
    _ input: Span<UInt8>, exports: NBDExports, into output: inout [UInt8]
  ) -> Step {
    switch state {
    case .awaitingClientFlags:
      return receiveClientFlags(input)
    case .haggling(let settled):
      return receiveOption(input, settled, exports, &output)
    case .skipping(let settled, let option, let bytes):
      return skip(input, settled, option: option, bytes: bytes, &output)
    case .listing(let settled, let option, let names, let next):
      return list(names, of: option, from: next, settled, &output)
    case .ended:
      return Step(consumed: 0, outcome: .close)
    }
  }

  private mutating func receiveClientFlags(_ input: Span<UInt8>) -> Step {
    guard input.count >= 4 else { return Step(consumed: 0, outcome: .needsBytes) }
    var reader = BigEndianReader(Self.copy(input, from: 0, count: 4))
    let flags = ClientFlags(rawValue: reader.integer(UInt32.self) ?? .max)
    guard flags.isSubset(of: .known) else { return end(consuming: 4) }
    state = .haggling(Settled(flags))
    return Step(consumed: 4, outcome: .again)
  }

  private mutating func receiveOption(
    _ input: Span<UInt8>, _ before: Settled, _ exports: NBDExports, _ output: inout [UInt8]
  ) -> Step {
    let headerBytes = 16
    guard input.count >= headerBytes else { return Step(consumed: 0, outcome: .needsBytes) }
    var reader = BigEndianReader(Self.copy(input, from: 0, count: headerBytes))
    guard reader.integer(UInt64.self) == NBDMagic.option,
      let number = reader.integer(UInt32.self), let length = reader.integer(UInt32.self)
    else { return end(consuming: headerBytes) }

    var settled = before
    settled.optionCount += 1
    guard settled.optionCount <= NBDLimits.options else { return end(consuming: headerBytes) }
    guard settled.isFixed || number == NBDOption.exportName.rawValue else {
      return end(consuming: headerBytes)
    }
    guard length <= NBDLimits.optionBytes else {
      // The name of an export cannot be that long, and this option has no way to say so.
      guard length <= NBDLimits.skippedOptionBytes, number != NBDOption.exportName.rawValue else {
        return end(consuming: headerBytes)
      }
      state = .skipping(settled, option: number, bytes: length)
      return Step(consumed: headerBytes, outcome: .again)
    }
    guard input.count - headerBytes >= Int(length) else {
      return Step(consumed: 0, outcome: .needsBytes)
    }
    let data = Self.copy(input, from: headerBytes, count: Int(length))
    state = .haggling(settled)
    let outcome = perform(number, data, settled, exports, &output)
    return Step(consumed: headerBytes + Int(length), outcome: outcome)
  }

  private mutating func skip(
    _ input: Span<UInt8>, _ settled: Settled, option: UInt32, bytes: UInt32,
    _ output: inout [UInt8]
  ) -> Step {
    let consumed = min(input.count, Int(bytes))
    let left = bytes - UInt32(consumed)
    guard left == 0 else {
      state = .skipping(settled, option: option, bytes: left)
      return Step(consumed: consumed, outcome: .needsBytes)
    }
    var settled = settled
    // A failed selection leaves nothing selected.
    if option == NBDOption.setMetaContext.rawValue {
      settled.metaContexts = []
    }
    state = .haggling(settled)
    if option == NBDOption.abort.rawValue {
      Self.reply(to: option, .acknowledged, into: &output)
      return end(consuming: consumed)
    }
    let type: OptionReply = NBDOption(rawValue: option) == nil ? .unsupported : .tooBig
    Self.refuse(option, type, "the option is too long", into: &output)
    return Step(consumed: consumed, outcome: .again)
  }

  /// The next piece of a list of exports or contexts; it consumes no input.
  mutating func list(
    _ names: [String], of option: NBDOption, from first: Int, _ settled: Settled,
    _ output: inout [UInt8]
  ) -> Step {
    let isExports = option == .list
    var next = first
    while next < names.count {
      let name = Array(names[next].utf8)
      let needed = 2 * 20 + 4 + name.count
      guard output.count + needed <= NBDLimits.negotiationOutputBytes else {
        state = .listing(settled, of: option, names: names, next: next)
        return Step(consumed: 0, outcome: .again)
      }
      var entry: [UInt8] = []
      // Before a context stands its identifier, which a list leaves out.
      entry.append(bigEndian: isExports ? UInt32(name.count) : 0)
      entry.append(contentsOf: name)
      Self.reply(
        to: option.rawValue, isExports ? .server : .metaContext, entry, into: &output)
      next += 1
    }
    Self.reply(to: option.rawValue, .acknowledged, into: &output)
    state = .haggling(settled)
    return Step(consumed: 0, outcome: .again)
  }

  mutating func end(consuming consumed: Int) -> Step {
    state = .ended
    return Step(consumed: consumed, outcome: .close)
  }

  static func copy(_ input: Span<UInt8>, from start: Int, count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for i in start..<start + count { bytes.append(input[i]) }
    return bytes
  }

  static func reply(
    to option: UInt32, _ type: OptionReply, _ data: [UInt8] = [], into output: inout [UInt8]
  ) {
    output.append(bigEndian: NBDMagic.optionReply)
    output.append(bigEndian: option)
    output.append(bigEndian: type.rawValue)
    output.append(bigEndian: UInt32(data.count))
    output.append(contentsOf: data)
  }

  /// An error reply with a sentence for the person at the client.
  static func refuse(
    _ option: UInt32, _ type: OptionReply, _ reason: String, into output: inout [UInt8]
  ) {
    reply(to: option, type, Array(reason.utf8), into: &output)
  }
}
