public import StorageUnits

/// A device as creation and recovery use it, before anything is served: one operation at a time,
/// each finished on return. The same device then serves `IOCommand`s.
public protocol SynchronousDevice: AnyObject {
  /// What messages call the device: its path.
  var name: String { get }
  var sizeBytes: UInt64 { get }
  /// The smallest unit of I/O of the device, 512 or 4096 bytes.
  var logicalBlockBytes: Int { get }

  /// Reads `buffer.count` bytes at `offset`; both are multiples of 4096. Beyond the end of a sparse
  /// file that has not grown yet, zeros.
  func read(at offset: DeviceByteOffset, into buffer: UnsafeMutableRawBufferPointer)
    throws(DeviceError)
  /// Writes `buffer.count` bytes at `offset`; both are multiples of 4096. Durable after `flush`.
  func write(at offset: DeviceByteOffset, from buffer: UnsafeRawBufferPointer) throws(DeviceError)
  /// Makes every earlier write durable.
  func flush() throws(DeviceError)
  /// Reads many ranges at once, as deep as the device serves well. The default reads one by one.
  func readBatch(_ reads: [(offset: DeviceByteOffset, buffer: UnsafeMutableRawBufferPointer)])
    throws(DeviceError)
}

extension SynchronousDevice {
  public func readBatch(
    _ reads: [(offset: DeviceByteOffset, buffer: UnsafeMutableRawBufferPointer)]
  ) throws(DeviceError) {
    for unsafe(offset, buffer) in unsafe reads { try unsafe read(at: offset, into: buffer) }
  }
}

/// An operation on a device that the operating system refused or could not finish.
public struct DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Operation: String, Sendable {
    case open, lock, stat, read, write, flush, allocate, punch, close
  }
  public var operation: Operation
  /// The device's path.
  public var device: String
  /// The positive errno.
  public var errno: Int32

  public init(_ operation: Operation, device: String, errno: Int32) {
    self.operation = operation
    self.device = device
    self.errno = errno
  }

  public var description: String { "\(operation.rawValue) of \(device) failed: errno \(errno)" }
}
