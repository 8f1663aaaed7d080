/// What an error is about: a kind and the name by which the person knows it.
public struct ManagementObject: Codable, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    case pool
    /// Named `POOL/VOLUME` where the pool is known.
    case volume
    /// Named `POOL/VOLUME@SNAPSHOT` where the pool is known.
    case snapshot
    /// Named `POOL/VOLUME#MARK` where the pool is known.
    case bookmark
    /// Named by its path.
    case device
    /// Named by its path.
    case file
    /// A socket address.
    case address
    /// An option or argument of the command line, or a field of a request.
    case option
    /// A path of the control API.
    case route
    case process
  }

  public var kind: Kind
  public var name: String

  public init(_ kind: Kind, _ name: String) {
    self.kind = kind
    self.name = name
  }

  public var description: String { "\(kind.rawValue) \(name)" }
}
