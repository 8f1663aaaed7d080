public import BlockIO
import Glibc
public import Management
import StorageUnits

/// The devices of a pool for a check, a dump or a repair, locked as a server locks them unless a
/// server holds them and knows of the reader.
public struct InspectedDevices {
  public enum Purpose: Sendable {
    /// Read-only: others may look too, but nobody may serve or repair the pool meanwhile.
    case look
    case repair
    /// Read-only and without a lock: the server that holds the pool keeps the image that is read.
    case beside
  }

  public let devices: [FileDevice]

  /// Opens the devices of a pool's record. One that is not there is left out: the inspection names
  /// it, and what lies elsewhere can be looked at.
  public init(
    _ record: PoolRecord, for purpose: Purpose, in state: StateFolder
  ) throws(ManagementError) {
    var devices: [FileDevice] = []
    do throws(ManagementError) {
      for device in record.devices {
        do throws(ManagementError) {
          devices.append(
            try Self.open(
              device.path, cache: record.cacheMode.fileMode, purpose, pool: record.name,
              in: state))
        } catch {
          guard error.code == .deviceMissing, record.devices.count > 1 else { throw error }
        }
      }
      guard !devices.isEmpty else {
        throw ManagementError(
          .deviceMissing, "none of the devices of pool '\(record.name)' is there",
          correction: "Attach them, or name them with --device.",
          objects: [ManagementObject(.pool, record.name.text)])
      }
    } catch {
      PoolDevices.close(devices)
      throw error
    }
    self.devices = devices
  }

  /// Opens devices without a record.
  public init(
    paths: [String], for purpose: Purpose, in state: StateFolder
  ) throws(ManagementError) {
    var devices: [FileDevice] = []
    do throws(ManagementError) {
      for path in paths {
        let path = HostEnvironment.current.absolutePath(path)
        do throws(ManagementError) {
          devices.append(try Self.open(path, cache: .direct, purpose, pool: nil, in: state))
        } catch {
          guard error.code == .directIONotPossible else { throw error }
          devices.append(try Self.open(path, cache: .buffered, purpose, pool: nil, in: state))
        }
      }
    } catch {
      PoolDevices.close(devices)
      throw error
    }
    self.devices = devices
  }

  public func close() { PoolDevices.close(devices) }

  private static func open(
    _ path: String, cache: FileDevice.CacheMode, _ purpose: Purpose, pool: PoolName?,
    in state: StateFolder
  ) throws(ManagementError) -> FileDevice {
    let start = SystemClock.now()
    while true {
      do throws(DeviceOpenError) {
        return try open(path, cache: cache, purpose)
      } catch {
        guard error.problem == .heldByAnother else { throw ManagementError(opening: error) }
        let holder = pool.flatMap { state.holder(of: $0) }
        let patience = PoolDevices.patienceMilliseconds(holder)
        guard SystemClock.now() < start.adding(milliseconds: patience) else {
          throw inUse(path, pool, holder)
        }
        usleep(PoolDevices.pauseMicroseconds)
      }
    }
  }

  private static func inUse(
    _ path: String, _ pool: PoolName?, _ holder: PoolHolder?
  ) -> ManagementError {
    let cause =
      if let holder { "It is held by \(holder.description)." } else {
        "Another process holds it; it left no word about itself."
      }
    let what = if let pool { "pool '\(pool)'" } else { "the device \(path)" }
    return ManagementError(
      .poolInUse, "\(what) is in use", cause: cause,
      correction: "A pool is checked while nobody serves it: stop the server (it ends cleanly on"
        + " SIGTERM), check the pool, and start the server again.",
      objects: [
        pool.map { ManagementObject(.pool, $0.text) } ?? ManagementObject(.device, path)
      ])
  }

  private static func open(
    _ path: String, cache: FileDevice.CacheMode, _ purpose: Purpose
  ) throws(DeviceOpenError) -> FileDevice {
    if purpose == .repair { return try FileDevice.open(path, cache: cache) }
    if purpose == .beside {
      return try FileDevice.open(path, cache: cache, access: .readOnly, exclusion: .none)
    }
    let device = try FileDevice.open(
      path, cache: cache, access: .readOnly, exclusion: .shared)
    guard device.isBlockDevice else { return device }
    // A block device knows no shared lock, but a reader can claim it too.
    try? device.close()
    return try FileDevice.open(path, cache: cache, access: .readOnly, exclusion: .exclusive)
  }
}
