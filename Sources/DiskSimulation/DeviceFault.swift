public import BlockIO
public import StorageUnits

/// Something that goes wrong with a simulated device.
public struct DeviceFault: Hashable, Sendable {
  public enum Effect: Hashable, Sendable {
    /// The operation ends with this errno. A write may have landed in part; a failed flush never
    /// becomes durable by a later one.
    case error(errno: Int32)
    /// Only the first bytes of a read or write (a multiple of 512) are done, then it ends with this
    /// errno.
    case short(bytes: Int, errno: Int32)
    /// A read or write is done in two pieces, the second some time after the first: what a driver
    /// makes of a short transfer. In bytes, a multiple of 4096. A synchronous call is not affected.
    case inTwoPieces(firstBytes: Int)
    /// It takes until so many other commands have completed, or until nothing else is in flight. A
    /// synchronous call is not affected.
    case slow(completions: Int)
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

  /// Which writes count, by what they carry. Hosts of a simulation write stamps and zeros.
  public enum Payload: Hashable, Sendable {
    case any
    /// A stamped sector is among it.
    case hostData
    /// Neither stamps nor only zeros: superblocks, journal blocks, nodes and other tables.
    case tables
  }

  public var effect: Effect
  /// Which operations count and are hit; nil: all.
  public var operation: IOCommand.Operation?
  public var payload = Payload.any
  /// Only operations that touch these bytes of the device count; nil: all.
  public var within: Range<UInt64>?
  /// The 1st, 2nd, … such operation after the fault was injected, in order of submission.
  public var number: Int
  /// Every later one as well.
  public var isForGood: Bool

  public init(
    _ effect: Effect, on operation: IOCommand.Operation?, number: Int, isForGood: Bool = false,
    payload: Payload = .any, within: Range<UInt64>? = nil
  ) {
    precondition(number >= 1)
    self.effect = effect
    self.operation = operation
    self.number = number
    self.isForGood = isForGood
    self.payload = payload
    self.within = within
  }

  /// Whether an operation counts.
  func concerns(
    _ operation: IOCommand.Operation, at offset: UInt64, length: Int,
    _ bytes: UnsafeRawBufferPointer?
  ) -> Bool {
    guard self.operation == nil || self.operation == operation else { return false }
    if let within {
      guard offset < within.upperBound, within.lowerBound < offset + UInt64(length) else {
        return false
      }
    }
    switch payload {
    case .any: return true
    case .hostData: return unsafe bytes.map { unsafe Self.isStamped($0) } ?? false
    case .tables:
      return unsafe bytes.map { unsafe !Self.isStamped($0) && !$0.allSatisfy { $0 == 0 } } ?? false
    }
  }

  private static func isStamped(_ bytes: UnsafeRawBufferPointer) -> Bool {
    for at in stride(from: 0, to: bytes.count, by: 512) {
      let sector = unsafe UnsafeRawBufferPointer(rebasing: bytes[at..<at + 512])
      if case .stamped = unsafe StampedSector.read(sector) { return true }
    }
    return false
  }
}

/// How often faults have hit a device, by kind.
public struct FaultCounts: Hashable, Sendable {
  public internal(set) var errors = 0
  public internal(set) var shortTransfers = 0
  public internal(set) var transfersInTwoPieces = 0
  public internal(set) var slowOperations = 0
  public internal(set) var lostWrites = 0
  public internal(set) var misdirectedWrites = 0
  public internal(set) var lyingFlushes = 0
  public internal(set) var rottenBits = 0
  public internal(set) var refusedWhileVanished = 0
  public internal(set) var refusedForSpace = 0

  public init() {}

  mutating func count(_ effect: DeviceFault.Effect) {
    switch effect {
    case .error: errors += 1
    case .short: shortTransfers += 1
    case .inTwoPieces: transfersInTwoPieces += 1
    case .slow: slowOperations += 1
    case .lostWrite: lostWrites += 1
    case .misdirectedWrite: misdirectedWrites += 1
    case .lyingFlush: lyingFlushes += 1
    case .vanish, .rot: break
    }
  }

  /// By name, for reports.
  public var byName: [(name: String, count: Int)] {
    [
      ("errors", errors), ("short", shortTransfers), ("in two pieces", transfersInTwoPieces),
      ("slow", slowOperations), ("lost writes", lostWrites),
      ("misdirected writes", misdirectedWrites), ("lying flushes", lyingFlushes),
      ("rotten bits", rottenBits), ("refused while vanished", refusedWhileVanished),
      ("refused for space", refusedForSpace),
    ]
  }

  public static func + (a: FaultCounts, b: FaultCounts) -> FaultCounts {
    var sum = a
    sum.errors += b.errors
    sum.shortTransfers += b.shortTransfers
    sum.transfersInTwoPieces += b.transfersInTwoPieces
    sum.slowOperations += b.slowOperations
    sum.lostWrites += b.lostWrites
    sum.misdirectedWrites += b.misdirectedWrites
    sum.lyingFlushes += b.lyingFlushes
    sum.rottenBits += b.rottenBits
    sum.refusedWhileVanished += b.refusedWhileVanished
    sum.refusedForSpace += b.refusedForSpace
    return sum
  }
}

/// Errno values that the simulation gives, as on Linux.
public enum SimulatedErrno {
  public static let inputOutput: Int32 = 5
  public static let noDevice: Int32 = 19
  public static let noSpace: Int32 = 28

  /// Operations that end so have not reached the medium.
  static func changesNothing(_ errno: Int32) -> Bool { errno == noDevice || errno == noSpace }
}
