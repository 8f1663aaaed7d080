public import BlockExport
import DiskFormat
public import PoolCore
import StorageUnits

/// What hosts have asked of one volume in one way, since the start or since the volume was first
/// asked for anything.
public struct OperationStatistics: Hashable, Sendable {
  public var operation: ExportRequest.Operation
  public var requests: UInt64
  public var errors: UInt64
  /// Of the ranges, in bytes; 0 for flushes.
  public var bytes: UInt64
  /// From the turn in which a request arrived to the one in which it was answered, all together.
  public var microseconds: UInt64
  /// Requests by how long they took: at most `latencyBounds[i]`, and in the last one longer.
  public var latencies: [UInt64]

  /// In microseconds, each four times the one before.
  public static let latencyBounds: [UInt64] = (0..<11).map { 16 << (2 * UInt64($0)) }
}

/// Counts what hosts ask, by volume and operation. Counting costs a few additions; a volume takes
/// memory (768 bytes) when it is first asked for something, and gives it back with the engine.
@safe final class OperationCounters {
  // One table per volume slot: operations × words, owned until deinit.
  private var tables: [UnsafeMutablePointer<UInt64>?] = unsafe []
  private var owners: [VolumeID] = []

  private static let buckets = OperationStatistics.latencyBounds.count + 1
  /// Requests, errors, bytes, microseconds, buckets.
  private static let words = 4 + buckets

  deinit {
    for i in owners.indices { unsafe tables[i]?.deallocate() }
  }

  func count(
    _ operation: ExportRequest.Operation, of volume: VolumeSlot, _ id: VolumeID, bytes: UInt64,
    failed: Bool, microseconds: UInt64
  ) {
    let table = unsafe table(of: volume.index, id)
    let row = unsafe table + Int(operation.rawValue) &* Self.words
    unsafe row[0] &+= 1
    if failed { unsafe row[1] &+= 1 }
    if operation != .flush { unsafe row[2] &+= bytes }
    unsafe row[3] &+= microseconds
    unsafe row[4 &+ Self.bucket(microseconds)] &+= 1
  }

  /// The first bound that is not less: bounds are 2^4, 2^6, 2^8 …
  static func bucket(_ microseconds: UInt64) -> Int {
    guard microseconds > 16 else { return 0 }
    let bits = 64 &- (microseconds &- 1).leadingZeroBitCount
    return min((bits &- 3) / 2, buckets &- 1)
  }

  private func table(of index: Int, _ id: VolumeID) -> UnsafeMutablePointer<UInt64> {
    if index < owners.count, owners[index] == id, let table = unsafe tables[index] {
      return unsafe table
    }
    while owners.count <= index {
      unsafe tables.append(nil)
      owners.append(VolumeID(0))
    }
    let count = ExportRequest.Operation.allCases.count * Self.words
    let table = unsafe tables[index] ?? .allocate(capacity: count)
    unsafe table.initialize(repeating: 0, count: count)
    unsafe tables[index] = table
    owners[index] = id
    return unsafe table
  }

  /// Of every operation, in one order; nothing if the volume was never asked for anything.
  func statistics(of volume: VolumeSlot, _ id: VolumeID) -> [OperationStatistics] {
    guard volume.index < owners.count, owners[volume.index] == id,
      let table = unsafe tables[volume.index]
    else { return [] }
    return ExportRequest.Operation.allCases.map { operation in
      let row = unsafe table + Int(operation.rawValue) * Self.words
      return OperationStatistics(
        operation: operation, requests: unsafe row[0], errors: unsafe row[1],
        bytes: unsafe row[2], microseconds: unsafe row[3],
        latencies: (0..<Self.buckets).map { unsafe row[4 + $0] })
    }
  }
}

extension VolumeEngine {
  /// What hosts have asked of a volume.
  public func operations(of volume: VolumeSlot) -> [OperationStatistics] {
    operationCounters.statistics(of: volume, pool.record(of: volume).id)
  }
}
