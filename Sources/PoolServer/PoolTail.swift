import BlockIO
import Glibc
import Management
import StorageUnits

/// The file in memory that keeps answered records across the death of a process.
struct PoolTail {
  let path: String
  /// What an earlier process left; nil if there is nothing.
  private(set) var earlier: MappedFile?
  /// The mapping of this process.
  private(set) var current: MappedFile?

  /// Finds the tail of an earlier process, if there is one.
  init(
    poolUUID: StorageUUID, lastHolder: PoolHolder?, in state: StateFolder
  ) throws(ManagementError) {
    path = try state.tailPath(poolUUID: poolUUID, lastHolder: lastHolder)
    do throws(DeviceError) {
      earlier = try MappedFile.open(path)
    } catch {
      switch error.errno {
      case ENOENT: break
      // The devices are locked, so nobody is making it now: a server was killed while it did.
      case ENODATA: _ = unsafe unlink(path)
      default: throw ManagementError(device: error)
      }
      earlier = nil
    }
  }

  /// Replaces it by an empty file of this process. What the earlier one held is in a durable
  /// checkpoint by now.
  mutating func renew(byteCount: Int, in state: StateFolder) throws(ManagementError) -> MappedFile {
    _ = try state.createRuntimeFolder()
    do throws(DeviceError) {
      if let earlier {
        try earlier.unlink()
        earlier.close()
      }
      earlier = nil
      let file = try MappedFile.create(path, byteCount: byteCount)
      current = file
      return file
    } catch { throw ManagementError(device: error) }
  }

  /// After a clean stop nothing of it is needed.
  func remove() {
    try? current?.unlink()
    current?.close()
  }
}
