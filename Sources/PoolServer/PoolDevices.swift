import BlockIO
import Glibc
import Management
import StorageUnits

/// Opens and locks the devices that a pool's record lists, in its order.
enum PoolDevices {
  /// How long a start waits for a killed server's last writes to end: until then the kernel keeps
  /// the lock.
  private static let patienceSeconds: UInt64 = 10
  /// A holder that is alive is waited for only so long.
  private static let politenessSeconds: UInt64 = 1
  static let pauseMicroseconds: UInt32 = 50_000

  static func open(
    _ record: PoolRecord, cache: CacheMode, in state: StateFolder
  ) throws(ManagementError) -> [FileDevice] {
    var devices: [FileDevice] = []
    do throws(ManagementError) {
      for device in record.devices {
        devices.append(try open(device.path, cache: cache, of: record.name, in: state))
      }
    } catch {
      close(devices)
      throw error
    }
    return devices
  }

  private static func open(
    _ path: String, cache: CacheMode, of pool: PoolName, in state: StateFolder
  ) throws(ManagementError) -> FileDevice {
    let start = SystemClock.now()
    while true {
      do throws(DeviceOpenError) {
        return try FileDevice.open(path, cache: cache.fileMode)
      } catch {
        guard error.problem == .heldByAnother else { throw ManagementError(opening: error) }
        let holder = state.holder(of: pool)
        guard SystemClock.now() < start.adding(milliseconds: patienceMilliseconds(holder)) else {
          throw .poolInUse(pool, holder: holder)
        }
        usleep(pauseMicroseconds)
      }
    }
  }

  /// How long to wait for a lock that this holder may still have.
  static func patienceMilliseconds(_ holder: PoolHolder?) -> UInt64 {
    (isAlive(holder) ? politenessSeconds : patienceSeconds) * 1000
  }

  private static func isAlive(_ holder: PoolHolder?) -> Bool {
    guard let holder, holder.host == HostName.current() else { return false }
    return kill(holder.processID, 0) == 0 || errno == EPERM
  }

  /// Gives the locks up. Everything is durable by then, so an error of `close` says nothing new.
  static func close(_ devices: [FileDevice]) {
    for device in devices { try? device.close() }
  }
}

extension CacheMode {
  var fileMode: FileDevice.CacheMode {
    switch self {
    case .direct: .direct
    case .buffered: .buffered
    }
  }
}
