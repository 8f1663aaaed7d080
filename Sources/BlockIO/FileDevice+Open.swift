import CBlockIO
import Glibc
import StorageUnits

extension FileDevice {
  /// Opens an existing file or block device and locks it.
  ///
  /// A lock that another holds is `heldByAnother`; trying again is the caller's choice. A block
  /// device's size is rounded down to whole 4096-byte blocks.
  public static func open(
    _ path: String, cache: CacheMode = .direct, access: Access = .readWrite,
    exclusion: Exclusion = .exclusive
  ) throws(DeviceOpenError) -> FileDevice {
    var kind = LAMINA_FILE_OTHER
    let found = unsafe lamina_path_kind(path, &kind)
    guard found == 0 else { throw openError(path, .stat, status: found) }
    guard kind == LAMINA_FILE_REGULAR || kind == LAMINA_FILE_BLOCK else {
      throw DeviceOpenError(.wrongKind, device: path, errno: 0)
    }
    var mode: UInt32 = access == .readWrite ? LAMINA_OPEN_WRITE.rawValue : 0
    let claims = kind == LAMINA_FILE_BLOCK && exclusion == .exclusive
    if claims { mode |= LAMINA_OPEN_CLAIM.rawValue }
    let descriptor = unsafe lamina_file_open(path, Int32(mode))
    guard descriptor >= 0 else {
      if claims && descriptor == -EBUSY {
        throw DeviceOpenError(.heldByAnother, device: path, errno: EBUSY)
      }
      throw openError(path, .open, status: descriptor)
    }
    return try take(descriptor, path, cache, exclusion)
  }

  /// Creates a sparse file of exactly this size, a multiple of 4096 bytes, and makes the file and
  /// its entry in the folder durable. Never touches anything that exists.
  public static func create(_ path: String, sizeBytes: UInt64, cache: CacheMode = .direct)
    throws(DeviceOpenError) -> FileDevice
  {
    let block = UInt64(StorageSizes.blockBytes)
    guard sizeBytes > 0, sizeBytes % block == 0, sizeBytes <= UInt64(Int64.max) else {
      throw DeviceOpenError(.badSize(bytes: sizeBytes), device: path, errno: EINVAL)
    }
    let mode = LAMINA_OPEN_WRITE.rawValue | LAMINA_OPEN_CREATE.rawValue
    let descriptor = unsafe lamina_file_open(path, Int32(mode))
    guard descriptor >= 0 else {
      if descriptor == -EEXIST {
        throw DeviceOpenError(.alreadyExists, device: path, errno: EEXIST)
      }
      throw openError(path, .open, status: descriptor)
    }
    do throws(DeviceOpenError) {
      guard ftruncate(descriptor, off_t(sizeBytes)) == 0 else {
        let status = -errno
        _ = Glibc.close(descriptor)
        throw openError(path, .allocate, status: status)
      }
      let device = try take(descriptor, path, cache, .exclusive)
      guard fsync(descriptor) == 0 else { throw openError(path, .flush, status: -errno) }
      let synced = unsafe lamina_sync_parent(path)
      guard synced == 0 else { throw openError(path, .flush, status: synced) }
      return device
    } catch {
      // Ours: it did not exist before, and nobody was told of it.
      _ = unsafe unlink(path)
      throw error
    }
  }

  /// Locks the descriptor, sets its cache mode and asks for its sizes; closes it on an error.
  private static func take(
    _ descriptor: Int32, _ path: String, _ cache: CacheMode, _ exclusion: Exclusion
  ) throws(DeviceOpenError) -> FileDevice {
    do throws(DeviceOpenError) {
      var facts = lamina_file_facts()
      let known = unsafe lamina_file_facts(descriptor, &facts)
      guard known == 0 else { throw openError(path, .stat, status: known) }
      let isBlockDevice = facts.kind == LAMINA_FILE_BLOCK
      guard isBlockDevice || facts.kind == LAMINA_FILE_REGULAR else {
        throw DeviceOpenError(.wrongKind, device: path, errno: 0)
      }
      if !isBlockDevice && exclusion != .none {
        let locked = lamina_file_lock(descriptor, exclusion == .exclusive ? 1 : 0)
        if locked == -EAGAIN || locked == -EACCES {
          throw DeviceOpenError(.heldByAnother, device: path, errno: -locked)
        }
        guard locked == 0 else { throw openError(path, .lock, status: locked) }
      }
      let direct = lamina_file_set_cache(descriptor, cache == .direct ? 1 : 0)
      if direct == -EINVAL {
        throw DeviceOpenError(.directNotSupported, device: path, errno: EINVAL)
      }
      guard direct == 0 else { throw openError(path, .open, status: direct) }
      let sector =
        isBlockDevice
        ? Int(facts.logical_sector_bytes) : try fileSector(descriptor, path, cache)
      guard sector <= StorageSizes.blockBytes else {
        throw DeviceOpenError(.sectorTooLarge(bytes: sector), device: path, errno: 0)
      }
      let size = facts.size_bytes & ~UInt64(StorageSizes.blockBytes - 1)
      return FileDevice(
        name: path, descriptor: descriptor, sizeBytes: isBlockDevice ? size : facts.size_bytes,
        logicalBlockBytes: sector, isBlockDevice: isBlockDevice, cacheMode: cache)
    } catch {
      _ = Glibc.close(descriptor)
      throw error
    }
  }

  /// The unit of direct I/O on a file: its file system's sector where the kernel says so.
  private static func fileSector(_ descriptor: Int32, _ path: String, _ cache: CacheMode)
    throws(DeviceOpenError) -> Int
  {
    guard cache == .direct else { return StorageSizes.sectorBytes }
    var memory: UInt32 = 0
    var offset: UInt32 = 0
    let status = unsafe lamina_direct_alignment(descriptor, &memory, &offset)
    guard status == 0 else { throw openError(path, .stat, status: status) }
    return max(StorageSizes.sectorBytes, Int(offset))
  }

  private static func openError(_ path: String, _ operation: DeviceError.Operation, status: Int32)
    -> DeviceOpenError
  {
    let problem: DeviceOpenError.Problem =
      switch -status {
      case ENOENT: .notFound
      case EACCES, EPERM, EROFS: .notPermitted
      default: .system(operation)
      }
    return DeviceOpenError(problem, device: path, errno: -status)
  }
}
