import BlockExport

/// The error field of a reply (proto.md, "Error values").
enum NBDError: UInt32, Error, Hashable, Sendable {
  case notPermitted = 1
  case inputOutput = 5
  case invalid = 22
  case noSpace = 28
  case notSupported = 95
  case shutdown = 108

  /// How each failure of the engine reads on the wire. `readOnly` is EPERM also where a failed
  /// barrier made the pool read-only: the protocol has no nearer word, and clients treat both as
  /// final.
  ///
  /// What a client asks for beyond the end that it was told is refused before; the end may have
  /// come nearer since (a volume made smaller), and the same errors say so.
  init(_ error: ExportError, of command: NBDCommand) {
    switch error {
    case .outOfRange: self = .beyondEnd(command)
    case .noSpace: self = .noSpace
    case .inputOutput: self = .inputOutput
    case .invalidRequest: self = .invalid
    case .readOnly: self = .notPermitted
    case .notSupported: self = .notSupported
    case .volumeGone: self = .inputOutput
    case .shuttingDown: self = .shutdown
    }
  }

  /// A request beyond the end of its export (proto.md, "Request types").
  static func beyondEnd(_ command: NBDCommand) -> NBDError {
    command == .write || command == .writeZeroes ? .noSpace : .invalid
  }
}
