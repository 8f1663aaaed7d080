import BlockExport

/// What a request header comes to, before anything is done for it.
enum RequestCheck: Hashable, Sendable {
  /// Carry it out.
  case accept(NBDCommand)
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
    guard header.magic == NBDMagic.request else {
      self = .drop
      return
    }
    guard let command = NBDCommand(rawValue: header.type) else {
      self = .refuse(.invalid)
      return
    }
    if command == .write && header.length > NBDLimits.skippedPayloadBytes {
      self = .drop
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
    if let error = Self.error(command, header, terms) {
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
    switch command {
    case .read: return terms.structuredReplies ? always.union(.doNotFragment) : always
    case .write, .disconnect, .flush, .trim: return always
    case .writeZeroes: return always.union(.noHole).union(.fastZero)
    case .blockStatus: return always.union(.requestOne)
    }
  }

  private static func error(
    _ command: NBDCommand, _ header: RequestHeader, _ terms: TransmissionTerms
  ) -> NBDError? {
    switch command {
    case .flush:
      return header.offset == 0 && header.length == 0 ? nil : .invalid
    case .write, .trim, .writeZeroes:
      if terms.isReadOnly { return .notPermitted }
    case .blockStatus:
      if !terms.blockStatus { return .invalid }
    case .read, .disconnect:
      break
    }
    let length = UInt64(header.length)
    guard header.offset <= terms.sizeBytes, length <= terms.sizeBytes - header.offset else {
      return .beyondEnd(command)
    }
    let blockMask = terms.logicalBlockBytes - 1
    guard (header.offset | length) & blockMask == 0 else { return .invalid }
    if command == .read || command == .write {
      guard header.length <= UInt32(ExportLimits.maximumTransferBytes) else { return .invalid }
    }
    return nil
  }
}
