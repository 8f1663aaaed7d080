/// The numbers of the format: `Docs/StreamFormat.md`.
public enum StreamFormat {
  public static let version: UInt8 = 1
  public static let headerBytes = 1024
  public static let frameHeaderBytes = 40
  /// The unit of ranges, and of the hash.
  public static let blockBytes = 4096
  /// The most data that one frame carries.
  public static let maximumDataBytes = 1 << 20
  /// The longest name.
  public static let maximumNameBytes = 127
  /// The largest volume: 32 PiB.
  public static let maximumVolumeBytes: UInt64 = 1 << 55
  public static let digestBytes = 32
  static let endPayloadBytes = digestBytes + 8
}

/// Why bytes are not accepted as a stream. Nothing that was read before it is worth anything: a
/// stream is good as a whole or not at all.
public enum StreamError: Error, Hashable, Sendable {
  /// It does not begin as a stream does.
  case notAStream
  case unknownVersion(UInt8)
  /// It needs features that this version does not have; their bits.
  case unknownFeatures(UInt64)
  /// The checksum of the header, or of the frame at this byte of the stream, is wrong.
  case badChecksum(at: UInt64)
  /// A field of the header, or of the frame at this byte, has a value that no sender writes.
  case badField(String, at: UInt64)
  /// It ends before its end frame.
  case truncated(at: UInt64)
  /// Something follows its end frame.
  case trailingBytes(at: UInt64)
}

extension StreamError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notAStream: "It does not begin as a stream of lamina does."
    case .unknownVersion(let version):
      "It has version \(version) of the format; this program knows version \(StreamFormat.version)."
    case .unknownFeatures(let bits):
      "It needs features that this program does not have (\(String(bits, radix: 16)))."
    case .badChecksum(let at): "The checksum of what begins at byte \(at) is wrong."
    case .badField(let field, let at):
      "What begins at byte \(at) has an impossible value (\(field))."
    case .truncated(let at): "It ends at byte \(at), before its end."
    case .trailingBytes(let at): "Something follows its end, which is at byte \(at)."
    }
  }
}
