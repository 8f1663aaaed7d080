import CBlockIO
import Glibc
public import StorageUnits
import Synchronization

/// A regular file or a block device of a pool.
///
/// The lock, the direct I/O and every read and write belong to one open file description, so that
/// the kernel keeps the lock until the last write in flight of a killed server has ended. The
/// synchronous methods may be called by any thread; buffers are aligned to 4096 bytes.
public final class FileDevice: SynchronousDevice, Sendable {
  /// Whether the host's page cache stands between; durability is the same.
  public enum CacheMode: String, Sendable, CaseIterable {
    case direct, buffered
  }

  public enum Access: Sendable {
    case readWrite, readOnly
  }

  /// Who else may have the device open.
  public enum Exclusion: Sendable {
    /// Nobody who asks for `exclusive` or `shared`.
    case exclusive
    /// Only those who ask for `shared` too. On a block device nothing is locked.
    case shared
    /// Anybody.
    case none
  }

  public let name: String
  public let sizeBytes: UInt64
  public let logicalBlockBytes: Int
  public let isBlockDevice: Bool
  public let cacheMode: CacheMode
  /// Stays open until `close` or the release; -1 after `close`.
  private let openDescriptor: Atomic<Int32>

  var descriptor: Int32 { openDescriptor.load(ordering: .acquiring) }

  init(
    name: String, descriptor: Int32, sizeBytes: UInt64, logicalBlockBytes: Int,
    isBlockDevice: Bool, cacheMode: CacheMode
  ) {
    self.name = name
    self.sizeBytes = sizeBytes
    self.logicalBlockBytes = logicalBlockBytes
    self.isBlockDevice = isBlockDevice
    self.cacheMode = cacheMode
    openDescriptor = Atomic(descriptor)
  }

  deinit {
    // An error here says nothing about durability: that is what `flush` is for.
    let open = openDescriptor.load(ordering: .relaxed)
    if open >= 0 {
      lamina_file_unlock(open)
      _ = Glibc.close(open)
    }
  }

  /// Gives lock and descriptor back. Nothing may be in flight; every later operation fails (EBADF).
  public func close() throws(DeviceError) {
    let open = openDescriptor.exchange(-1, ordering: .acquiringAndReleasing)
    guard open >= 0 else { return }
    // Nothing is in flight, so nobody is harmed by a lock that ends before the description does.
    lamina_file_unlock(open)
    // Not tried again on EINTR: Linux has given the descriptor back by then.
    guard Glibc.close(open) == 0 || errno == EINTR else { throw failure(.close) }
  }

  public func read(at offset: DeviceByteOffset, into buffer: UnsafeMutableRawBufferPointer)
    throws(DeviceError)
  {
    guard let base = buffer.baseAddress else { return }
    var done = 0
    while done < buffer.count {
      let got = unsafe pread(
        descriptor, base + done, buffer.count - done, off_t(offset.bytes) + off_t(done))
      if got < 0 {
        if errno == EINTR { continue }
        throw failure(.read)
      }
      done += got
      // The file has not grown so far, and its end need not be at a sector.
      if got == 0 || done % StorageSizes.sectorBytes != 0 {
        guard !isBlockDevice else {
          throw DeviceError(.read, device: name, errno: EIO)
        }
        _ = unsafe memset(base + done, 0, buffer.count - done)
        return
      }
    }
  }

  public func write(at offset: DeviceByteOffset, from buffer: UnsafeRawBufferPointer)
    throws(DeviceError)
  {
    guard let base = buffer.baseAddress else { return }
    var done = 0
    while done < buffer.count {
      let put = unsafe pwrite(
        descriptor, base + done, buffer.count - done, off_t(offset.bytes) + off_t(done))
      if put < 0 && errno == EINTR { continue }
      if put < 0 { throw failure(.write) }
      if put == 0 { throw DeviceError(.write, device: name, errno: EIO) }
      done += put
    }
  }

  public func flush() throws(DeviceError) {
    // Not tried again on an error: the kernel reports a failed write-back only once.
    guard fdatasync(descriptor) == 0 else { throw failure(.flush) }
  }

  func failure(_ operation: DeviceError.Operation) -> DeviceError {
    DeviceError(operation, device: name, errno: errno)
  }
}
