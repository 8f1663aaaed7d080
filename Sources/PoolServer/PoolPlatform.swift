package import BlockIO
package import StorageUnits

/// What a server stands on: how its devices carry out commands, and which boot this is.
///
/// `system` is what every product has. A test may hand in another one, and gets the real server
/// (sockets, engine, opening and recovery) on devices of its own.
package struct PoolPlatform: Sendable {
  /// Makes what carries out the commands on the devices, which are open and locked; it is called
  /// and used on the engine's thread. Nil: the reactor does.
  package var makeDriver: (@Sendable ([FileDevice]) -> any DeviceDriver)?
  /// The boot; nil: it is not known, and nothing is kept for answered records.
  package var bootID: @Sendable () -> StorageUUID?

  package init(
    makeDriver: (@Sendable ([FileDevice]) -> any DeviceDriver)?,
    bootID: @escaping @Sendable () -> StorageUUID?
  ) {
    self.makeDriver = makeDriver
    self.bootID = bootID
  }

  /// Files and block devices on the reactor, and the kernel's boot.
  package static let system = PoolPlatform(makeDriver: nil) { BootIdentity.current() }
}

/// Carries out the commands for a pool's devices in place of the reactor, on the engine's thread.
package protocol DeviceDriver: AnyObject {
  /// The devices as recovery uses them, in the order of the pool's record.
  var devices: [any SynchronousDevice] { get }

  /// From now on commands name the devices by these indices, in the same order.
  func attach(as indices: [DeviceIndex])

  /// Takes a command. It ends later, in any order, exactly once, by `nextCompletion`.
  func submit(_ command: IOCommand)

  /// A command that has ended, or nil; asked in every turn.
  func nextCompletion() -> IOCompletion?

  /// Commands are under way: the next turn is not to wait for a socket.
  var isBusy: Bool { get }
}
