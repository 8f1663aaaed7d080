/// A command that the reactor carries out, and how far it is.
@safe struct CommandSlot {
  var command: IOCommand
  /// Bytes that are done.
  var done: Int
  /// How often the kernel said "again".
  var retries: Int
  /// For commands that the discard thread carried out: its errno, reported when the notice comes.
  var preset: Int32
  /// Nothing is asked of the kernel: the completion only brings `preset` back.
  var isNotice: Bool

  init(_ command: IOCommand) {
    self.command = command
    done = 0
    retries = 0
    preset = 0
    isNotice = false
  }
}

/// A device as the reactor needs it at each command.
struct DeviceSlot {
  var descriptor: Int32
  /// The descriptor is in the table of registered files, at the slot's index.
  var isRegistered: Bool
  var isBlockDevice: Bool
}
