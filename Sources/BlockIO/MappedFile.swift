import CBlockIO
import Glibc

/// A file mapped into memory and shared: what is stored through the pointer outlives the process,
/// and, in a folder on tmpfs, not the machine's power (design §4 rule 9, the tail).
@safe public final class MappedFile {
  public let path: String
  public let byteCount: Int
  /// The file lies in memory (tmpfs, ramfs): stores cost no I/O.
  public let isInMemory: Bool

  private let descriptor: Int32
  private let base: UnsafeMutableRawPointer
  private var isOpen = true

  /// Creates the file, full of zeros. EEXIST if there is one: the bytes of an earlier process are
  /// never overwritten unread. Space is allocated now, so that a store never fails for want of it
  /// (SIGBUS).
  public static func create(_ path: String, byteCount: Int) throws(DeviceError) -> MappedFile {
    precondition(byteCount > 0)
    let mode = LAMINA_OPEN_WRITE.rawValue | LAMINA_OPEN_CREATE.rawValue
    let descriptor = unsafe lamina_file_open(path, Int32(mode))
    guard descriptor >= 0 else { throw DeviceError(.open, device: path, errno: -descriptor) }
    let allocated = posix_fallocate(descriptor, 0, off_t(byteCount))
    guard allocated == 0 else {
      _ = unsafe Glibc.unlink(path)
      _ = Glibc.close(descriptor)
      throw DeviceError(.allocate, device: path, errno: allocated)
    }
    return try MappedFile(descriptor, path)
  }

  /// Maps an existing file in its whole size, with the bytes that an earlier process left. ENOENT
  /// if there is none, EAGAIN if another has it mapped, ENODATA if it is empty: a process was
  /// killed while it made it, before it could store anything.
  public static func open(_ path: String) throws(DeviceError) -> MappedFile {
    let descriptor = unsafe lamina_file_open(path, Int32(LAMINA_OPEN_WRITE.rawValue))
    guard descriptor >= 0 else { throw DeviceError(.open, device: path, errno: -descriptor) }
    return try MappedFile(descriptor, path)
  }

  private init(_ descriptor: Int32, _ path: String) throws(DeviceError) {
    do throws(DeviceError) {
      let locked = lamina_file_lock(descriptor, 1)
      guard locked == 0 else { throw DeviceError(.lock, device: path, errno: -locked) }
      var facts = lamina_file_facts()
      let known = unsafe lamina_file_facts(descriptor, &facts)
      guard known == 0 else { throw DeviceError(.stat, device: path, errno: -known) }
      guard facts.kind == LAMINA_FILE_REGULAR else {
        throw DeviceError(.open, device: path, errno: EINVAL)
      }
      guard facts.size_bytes > 0 else {
        throw DeviceError(.open, device: path, errno: ENODATA)
      }
      byteCount = Int(facts.size_bytes)
      let memory = lamina_is_in_memory(descriptor)
      guard memory >= 0 else { throw DeviceError(.stat, device: path, errno: -memory) }
      isInMemory = memory == 1
      let mapped = unsafe mmap(
        nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
      guard let base = unsafe mapped, unsafe base != MAP_FAILED else {
        throw DeviceError(.open, device: path, errno: errno)
      }
      unsafe self.base = base
    } catch {
      _ = Glibc.close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close() }

  /// The first byte, page-aligned; valid until `close`. Stores by one thread at a time.
  public var pointer: UnsafeMutableRawPointer {
    precondition(isOpen, "the mapping was closed")
    return unsafe base
  }

  /// Ends the mapping and the lock; the file stays.
  public func close() {
    guard isOpen else { return }
    isOpen = false
    unsafe munmap(base, byteCount)
    lamina_file_unlock(descriptor)
    _ = Glibc.close(descriptor)
  }

  /// Removes the file's name; the mapping stays usable until `close`.
  public func unlink() throws(DeviceError) {
    guard unsafe Glibc.unlink(path) == 0 || errno == ENOENT else {
      throw DeviceError(.close, device: path, errno: errno)
    }
  }
}
