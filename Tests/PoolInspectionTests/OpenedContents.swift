import DiskFormat
import DiskSimulation
import PoolCore
import StorageUnits
import VolumeEngine

/// Where every block of every volume lies once the pool was opened: a start is run on copies of the
/// devices. Data does not move by that, so that equal places are equal contents.
struct OpenedContents: Hashable {
  /// By number of the volume, then by block: where it lies, and whether the extent holds space.
  private(set) var volumes: [UInt64: [UInt64: DevicePlace]] = [:]

  /// The virtual extents of each volume that are looked at.
  private static let extents: UInt64 = 400

  init(of devices: [SimulatedDevice]) throws {
    let copies = devices.map { $0.fork() }
    let opened = try unsafe PoolOpening.open(
      copies,
      settings: PoolOpening.Settings(
        bounds: PoolBounds(
          nodeCacheBytes: 256 * 4096, dirtyNodeBytes: 100 * 4096, countDeltaBytes: 1 << 20),
        logNonce: 99, opening: Opening(host: "test", process: 2, at: 0), bootID: nil))
    for slot in opened.pool.volumeSlots {
      let record = opened.pool.record(of: slot)
      var blocks: [UInt64: DevicePlace] = [:]
      let count = min(ByteCount(record.sizeBytes).extentsRoundingUp, Self.extents)
      for extent in 0..<count {
        let entry = try Self.entry(opened.pool, slot, VirtualExtent(index: extent), copies)
        for layer in [entry.upper, entry.lower] {
          for block in 0..<16 where layer.mask.contains(block) {
            blocks[extent * 16 + UInt64(block)] =
              opened.pool.place(of: layer.address(ofBlock: block))
          }
        }
      }
      volumes[record.id.number] = blocks
    }
  }

  private static func entry(
    _ pool: Pool, _ slot: VolumeSlot, _ extent: VirtualExtent, _ devices: [SimulatedDevice]
  ) throws -> MapEntry {
    while true {
      switch pool.lookup(slot, extent) {
      case .entry(let entry): return entry
      case .missing(let load):
        let block = TestBlocks(count: 1)
        let place = pool.place(of: load.address)
        try unsafe devices[Int(place.device.index)].read(at: place.byteOffset, into: block.buffer)
        guard let base = unsafe block.buffer.baseAddress else { return .none }
        try unsafe pool.supply(load, from: base)
      }
    }
  }
}
