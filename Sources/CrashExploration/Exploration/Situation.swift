public import BlockIO
import DiskFormat
public import DiskSimulation
import PoolCore
import StorageUnits

/// Something that the histories of a family must reach: a family that does not has proved nothing.
public struct Situation: Sendable {
  public var name: String
  /// Asked at each I/O event after the last operation was issued, before crash states are tried.
  var isThere: @Sendable (HistoryMoment) -> Bool = { _ in false }
  /// Asked at each moment at which a start is cut off.
  var isThereInStart: @Sendable (SimulatedDisks) -> Bool = { _ in false }

  public init(_ name: String, _ isThere: @escaping @Sendable (HistoryMoment) -> Bool) {
    self.name = name
    self.isThere = isThere
  }

  public init(
    inStart name: String, _ isThereInStart: @escaping @Sendable (SimulatedDisks) -> Bool
  ) {
    self.name = name
    self.isThereInStart = isThereInStart
  }
}

/// What a situation is told by.
public struct HistoryMoment {
  public let session: HostSession
  /// The event that has just happened.
  public let event: IOEvent

  public var server: SimulatedServer { session.server }
  public var inFlight: [IOEvent] { session.server.disks.inFlight }

  public func isInFlight(_ operation: IOCommand.Operation) -> Bool {
    inFlight.contains { $0.operation == operation }
  }

  /// Writes in flight that carry what hosts wrote.
  public var hostWritesInFlight: [(device: Int, write: PendingWrite)] {
    server.disks.devices.enumerated().flatMap { device, disk in
      disk.writesInFlight.filter { Self.carriesHostData($0) }.map { (device, $0) }
    }
  }

  private static func carriesHostData(_ write: PendingWrite) -> Bool {
    !write.isPunch && write.pages.contains { $0?.isHostData == true }
  }

  /// A host's write is on its way to where another place of a volume was written before.
  public var isReusingSpace: Bool {
    hostWritesInFlight.contains { device, write in
      write.pages.enumerated().contains { position, page in
        let old = server.disks.devices[device].visibleContents[
          write.firstPage + UInt64(position)]
        guard let old, let page else { return false }
        return Self.owner(old) != Self.owner(page)
      }
    }
  }

  /// Whose sector the first stamp of a page is.
  private static func owner(_ page: StoredPage) -> [UInt64]? {
    for (i, sector) in page.sectors.enumerated() {
      if case .stamped(let stamp) = sector {
        return [stamp.volume.number, stamp.sector - UInt64(i)]
      }
    }
    return nil
  }

  /// A superblock that was written and is not durable yet.
  public static func hasVolatileSuperblock(_ disks: SimulatedDisks) -> Bool {
    let places = Set(FormatConstants.superblockOffsets.flatMap { $0 })
    return disks.unflushedWrites.contains { places.contains($0.offset.bytes) }
  }

  /// The writes to the journal in flight, in blocks.
  public var journalWritesInFlight: [Int] {
    let stream = server.pool.stream
    let places = [stream.place, stream.secondPlace].compactMap { $0 }
    return inFlight.filter { event in
      event.operation == .write
        && places.contains {
          $0.device == event.device && event.offset.bytes >= $0.byteOffset.bytes
            && event.offset.bytes
              < $0.advanced(byBlocks: UInt64(stream.blockCount)).byteOffset.bytes
        }
    }.map { $0.length / StoredPage.byteCount }
  }
}
