import CBlockIO
import Glibc
public import StorageUnits

/// Which boot of the machine this is: the tail is only good within one.
public enum BootIdentity {
  /// The kernel's `boot_id`; nil where /proc is not mounted.
  public static func current() -> StorageUUID? {
    SmallFile.read("/proc/sys/kernel/random/boot_id").flatMap { StorageUUID($0) }
  }
}

/// The machine's name.
public enum HostName {
  /// What `hostname` prints; "localhost" if there is none.
  public static func current() -> String {
    let bytes = unsafe [CChar](unsafeUninitializedCapacity: 256) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      count = unsafe gethostname(base, 255) == 0 ? 255 : 0
    }
    let name = bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return name.isEmpty ? "localhost" : String(decoding: name, as: UTF8.self)
  }
}

/// A process that can be told from a later one with the same number.
public struct ProcessIdentity: Hashable, Sendable {
  public var processID: Int32
  /// In clock ticks since boot.
  public var startTicks: UInt64

  public init(processID: Int32, startTicks: UInt64) {
    self.processID = processID
    self.startTicks = startTicks
  }

  /// The calling process.
  public static func current() -> ProcessIdentity {
    let id = getpid()
    return ProcessIdentity(processID: id, startTicks: lamina_process_start(id))
  }

  /// Does the process still run? Only of use on the machine and boot that it was recorded on.
  public var isRunning: Bool { startTicks != 0 && lamina_process_start(processID) == startTicks }
}
