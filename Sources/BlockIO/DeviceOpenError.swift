/// Why a device cannot be opened or created, in words that say what to do.
public struct DeviceOpenError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Problem: Hashable, Sendable {
    case notFound
    /// A file is to be created where something exists.
    case alreadyExists
    case notPermitted
    /// Neither a regular file nor a block device.
    case wrongKind
    /// The file system has no direct I/O (O_DIRECT).
    case directNotSupported
    /// Direct I/O on it needs larger units than 4096 bytes.
    case sectorTooLarge(bytes: Int)
    /// Another process, or another opener in this one, holds the lock. The caller may try again.
    case heldByAnother
    /// The file is to be created with a size that is not a positive multiple of 4096.
    case badSize(bytes: UInt64)
    /// Anything else that the system refused.
    case system(DeviceError.Operation)
  }

  public var problem: Problem
  /// The device's path.
  public var device: String
  /// The positive errno, 0 if there is none.
  public var errno: Int32

  public init(_ problem: Problem, device: String, errno: Int32) {
    self.problem = problem
    self.device = device
    self.errno = errno
  }

  public var description: String {
    switch problem {
    case .notFound: "device \(device) does not exist"
    case .alreadyExists:
      "\(device) exists already: it is never overwritten. Remove it or choose another path."
    case .notPermitted: "device \(device) may not be opened: \(SystemMessage.text(errno))"
    case .wrongKind: "\(device) is neither a regular file nor a block device"
    case .directNotSupported:
      "the file system of \(device) does not allow direct I/O (O_DIRECT): "
        + "use --cache buffered, which is as durable"
    case .sectorTooLarge(let bytes):
      "direct I/O on \(device) needs units of \(bytes) bytes, at most 4096 are possible: "
        + "use --cache buffered"
    case .heldByAnother: "device \(device) is in use by another process"
    case .badSize(let bytes):
      "device \(device) cannot be \(bytes) bytes large: a size is a multiple of 4096 bytes"
    case .system(let operation):
      "\(operation.rawValue) of device \(device) failed: \(SystemMessage.text(errno))"
    }
  }
}
