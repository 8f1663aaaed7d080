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
  init(_ error: ExportError) {
    switch error {
    case .noSpace: self = .noSpace
    case .inputOutput: self = .inputOutput
    case .invalidRequest: self = .invalid
    case .readOnly: self = .notPermitted
    case .notSupported: self = .notSupported
    case .volumeGone: self = .inputOutput
    case .shuttingDown: self = .shutdown
    }
  }
}
