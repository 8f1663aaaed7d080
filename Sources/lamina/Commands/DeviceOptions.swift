import ArgumentParser
import Management
import PoolServer

/// Which pool to look at: one of the state folder, or devices that are named.
struct DeviceOptions: ParsableArguments {
  @Option(
    name: .customLong("device"), parsing: .singleValue,
    help: ArgumentHelp(
      "A device of the pool, named once for each, instead of the pool's name: for a pool that the"
        + " state folder does not list.", valueName: "path"))
  var devices: [String] = []

  /// Refuses both and neither.
  func check(pool: String?, command: String) throws(ManagementError) {
    guard (pool == nil) == devices.isEmpty else { return }
    throw ManagementError(
      .invalidArgument,
      pool == nil ? "no pool is named" : "a pool and devices are named both",
      correction: "Use 'lamina pool \(command) POOL', or 'lamina pool \(command) --device PATH'.",
      objects: [ManagementObject(.option, "--device")])
  }

  func open(
    pool: String?, for purpose: InspectedDevices.Purpose, in state: StateFolder
  ) throws(ManagementError) -> InspectedDevices {
    guard let pool else { return try InspectedDevices(paths: devices, for: purpose, in: state) }
    let record = try state.record(of: try PoolName(pool))
    return try InspectedDevices(record, for: purpose, in: state)
  }
}
