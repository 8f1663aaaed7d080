public import DiskSimulation
import StorageUnits

/// One step of a random history. Steps are drawn while it runs and kept, so that any part of them
/// can be run again.
public enum SimulationStep: Sendable {
  /// A host or the administrator does something, if it is possible then.
  case operate(any HostOperation)
  /// One command in flight completes.
  case complete
  case advance(milliseconds: UInt64)
  case inject(DeviceFault, device: Int)
  /// So much space is left underneath a device, nil for enough.
  case limitSpace(bytes: UInt64?, device: Int)
  /// A bit of a page that is not zeros flips: of a table, or of anything.
  case rot(device: Int, seed: UInt64, tablesOnly: Bool)
  /// The server ends, and another one starts.
  case restart(Restart)

  public struct Restart: Hashable, Sendable {
    public enum Ending: Hashable, Sendable { case stop, powerCut, kill }
    public var ending: Ending
    /// Decides what a crash leaves.
    public var seed: UInt64
    /// The start is cut off by a crash of the same kind after so many I/Os.
    public var crashesAfter: Int?
    /// The start is given a device that fails.
    public var fault: DeviceFault?
    public var faultyDevice = 0

    public init(ending: Ending, seed: UInt64) {
      self.ending = ending
      self.seed = seed
    }
  }
}

extension SimulationStep: CustomStringConvertible {
  public var description: String {
    switch self {
    case .operate(let operation): return "\(operation)"
    case .complete: return "complete"
    case .advance(let milliseconds): return "wait \(milliseconds)"
    case .inject(let fault, let device): return "device \(device): \(Self.text(fault))"
    case .limitSpace(let bytes, let device):
      return "device \(device): \(bytes.map { "\($0 >> 10) KiB" } ?? "enough space") underneath"
    case .rot(let device, _, let tablesOnly):
      return "device \(device): a bit of \(tablesOnly ? "a table" : "anything") flips"
    case .restart(let restart):
      var text = "\(restart.ending), start"
      if let after = restart.crashesAfter { text += " that crashes after \(after) I/Os" }
      if let fault = restart.fault {
        text += " with device \(restart.faultyDevice): \(Self.text(fault))"
      }
      return text
    }
  }

  private static func text(_ fault: DeviceFault) -> String {
    let operation = fault.operation.map { "\($0)" } ?? "operation"
    return "\(fault.effect) on \(operation) \(fault.number)\(fault.isForGood ? " and later" : "")"
  }
}
