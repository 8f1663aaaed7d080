public import BlockIO
public import StorageUnits

/// One step of a history of I/O: a submission or a completion.
public struct IOEvent: Hashable, Sendable {
  public enum Phase: UInt8, Sendable { case submitted, completed }
  public var phase: Phase
  public var operation: IOCommand.Operation
  public var device: DeviceIndex
  public var offset: DeviceByteOffset
  /// In bytes.
  public var length: Int
  /// Zero while it is under way and if it succeeded.
  public var errno: Int32
}
