public import BlockIO
public import StorageUnits

/// Something that goes wrong with a simulated device.
public struct DeviceFault: Hashable, Sendable {
  public enum Effect: Hashable, Sendable {
    /// The operation ends with this errno. A write may have landed in part; a failed flush never
    /// becomes durable by a later one.
    case error(errno: Int32)
    /// A write is answered and changes nothing.
    case lostWrite
    /// A write is answered and lands this many bytes away (a multiple of 512), if that is inside
    /// the device.
    case misdirectedWrite(byBytes: Int)
    /// A flush is answered and makes nothing durable.
    case lyingFlush
    /// This and every later operation ends with ENODEV, until `comeBack`.
    case vanish
    /// A bit flips at rest just before the operation.
    case rot(at: DeviceByteOffset, bit: Int)
  }
  public var effect: Effect
  /// Which operations count and are hit; nil: all.
  public var operation: IOCommand.Operation?
  /// The 1st, 2nd, … such operation after the fault was injected, in order of submission.
  public var number: Int
  /// Every later one as well.
  public var isForGood: Bool

  public init(
    _ effect: Effect, on operation: IOCommand.Operation?, number: Int, isForGood: Bool = false
  ) {
    precondition(number >= 1)
    self.effect = effect
    self.operation = operation
    self.number = number
    self.isForGood = isForGood
  }
}

/// Errno values that the simulation gives, as on Linux.
public enum SimulatedErrno {
  public static let inputOutput: Int32 = 5
  public static let noDevice: Int32 = 19
  public static let noSpace: Int32 = 28
}
