import Glibc
public import StorageUnits

/// One operation on one device that the engine asks for.
///
/// The engine does no I/O: it appends commands to an `IOCommandQueue`; whoever drives it (the
/// reactor on io_uring, or a simulation) carries them out, in any order and in parallel, and
/// reports each one back exactly once with its token. Why there are no generic parameters here:
/// `Docs/Decisions/0002-commands-out-completions-in.md`.
@safe @frozen public struct IOCommand {
  public enum Operation: UInt8, Sendable {
    /// Read `length` bytes at `offset` into `buffer`.
    case read
    /// Write `length` bytes from `buffer` at `offset`. Durable only after a later `flush`.
    case write
    /// Make every write that completed before this command was *submitted* durable.
    case flush
    /// Allocate file space for the range without changing its bytes (`fallocate` mode 0). On a
    /// block device it succeeds and does nothing.
    case reserveSpace
    /// Give the range's space back to the file system or device; it may read as zeros or as its old
    /// bytes afterwards. Slow: carried out off the reactor.
    case punchHole
  }

  public var operation: Operation
  public var device: DeviceIndex
  /// In bytes. A multiple of 4096 always.
  public var offset: DeviceByteOffset
  /// In bytes. A multiple of 4096 always; zero for `flush`.
  public var length: Int
  /// 4096-byte aligned; nil for operations without data. The engine keeps it alive and untouched
  /// until the completion.
  public var buffer: UnsafeMutableRawPointer?
  /// Given back in the completion; the driver does not interpret it.
  public var token: UInt64

  @inlinable public init(
    _ operation: Operation, device: DeviceIndex, offset: DeviceByteOffset, length: Int,
    buffer: UnsafeMutableRawPointer?, token: UInt64
  ) {
    self.operation = operation
    self.device = device
    self.offset = offset
    self.length = length
    unsafe self.buffer = buffer
    self.token = token
  }
}

/// How an `IOCommand` ended.
@frozen public struct IOCompletion: Sendable {
  public var token: UInt64
  /// Zero if the whole range was done, else the positive errno. A short read or write is continued
  /// by the driver; where it cannot be (end of file) it is EIO.
  public var errno: Int32

  @inlinable public init(token: UInt64, errno: Int32) {
    self.token = token
    self.errno = errno
  }

  /// The file system, or the thin device, underneath is full.
  public var lacksSpace: Bool { errno == ENOSPC || errno == EDQUOT }
}
