import BlockExport

/// What a request header comes to, before anything is done for it.
enum RequestCheck: Hashable, Sendable {
  /// Carry it out.
  case accept(NBDCommand)
  /// A block status whose range and contexts are in its payload, of so many bytes.
  case acceptFilter(payloadBytes: Int)
  /// It is right and there is nothing to do: a length of zero.
  case nothingToDo(NBDCommand)
  /// Answer with the error, after reading over the payload if there is one.
  case refuse(NBDError)
  /// The client wants to leave.
  case disconnect
  /// The stream cannot be followed any further.
  case drop

  /// Judges a header by the terms of its export. The order of the checks decides which error a
  /// request with several faults gets: unknown command or flag, read-only, range, alignment,
  /// length.
  init(_ header: RequestHeader, _ terms: TransmissionTerms) {
    let isExtended = terms.extendedHeaders
    let payloadBytes = header.payloadBytes(isExtended: isExtended)
    guard header.magic == (isExtended ? NBDMagic.extendedRequest : NBDMagic.request),
      payloadBytes <= NBDLimits.skippedPayloadBytes
    else {
      self = .drop
      return
    }
    guard let command = NBDCommand(rawValue: header.type) else {
      self = .refuse(.invalid)
      return
    }
    if command == .disconnect {
      self = .disconnect
      return
    }
    let flags = CommandFlags(rawValue: header.flags)
    guard flags.isSubset(of: Self.flags(for: command, terms)) else {
      self = .refuse(.invalid)
      return
    }
    if command == .blockStatus && flags.contains(.payloadLength) {
      self =
        terms.blockStatus && StatusFilter.isPossible(payloadBytes)
        ? .acceptFilter(payloadBytes: Int(payloadBytes)) : .refuse(.invalid)
      return
    }
    if let error = Self.error(command, header.offset, header.length, terms) {
      self = .refuse(error)
      return
    }
    if header.length == 0 && command != .flush {
      self = command == .blockStatus ? .refuse(.invalid) : .nothingToDo(command)
      return
    }
    self = .accept(command)
  }

  /// FUA is allowed with everything, because the protocol says so and clients do it.
  private static func flags(for command: NBDCommand, _ terms: TransmissionTerms) -> CommandFlags {
    // By union: the literal of a set is an array first where the optimiser does not run.
    let always = CommandFlags.forceUnitAccess
    let payload = terms.extendedHeaders ? CommandFlags.payloadLength : CommandFlags()
    switch command {
    case .read: return terms.structuredReplies ? always.union(.doNotFragment) : always
    case .write: return always.union(payload)
    case .disconnect, .flush, .trim, .cache: return always
    case .writeZeroes: return always.union(.noHole).union(.fastZero)
    case .blockStatus: return always.union(.requestOne).union(payload)
    }
  }

  static func error(
    _ command: NBDCommand, _ offset: UInt64, _ length: UInt64, _ terms: TransmissionTerms
  ) -> NBDError? {
    switch command {
    case .flush:
      return offset == 0 && length == 0 ? nil : .invalid
    case .write, .trim, .writeZeroes:
      if terms.isReadOnly { return .notPermitted }
    case .blockStatus:
      if !terms.blockStatus { return .invalid }
    case .read, .cache, .disconnect:
      break
    }
    guard offset <= terms.sizeBytes, length <= terms.sizeBytes - offset else {
      return .beyondEnd(command)
    }
    let blockMask = terms.logicalBlockBytes - 1
    guard (offset | length) & blockMask == 0 else { return .invalid }
    if command == .read || command == .write {
      guard length <= UInt64(ExportLimits.maximumTransferBytes) else { return .invalid }
    }
    return nil
  }
}
