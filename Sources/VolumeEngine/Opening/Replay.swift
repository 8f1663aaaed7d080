import DiskFormat
import PoolCore
import StorageUnits

/// Applies records that were read from the journal or the tail: nodes are loaded ahead for a run of
/// them, and what is still missing one by one. Never checkpoints midway: that could overwrite space
/// which later records give to data.
struct Replay {
  let pool: Pool
  let devices: DeviceSet

  /// How many records are looked ahead at.
  private static let window = 4096

  func apply(_ records: [NumberedRecord]) throws(PoolOpeningError) {
    let reader = NodeReader(devices: devices, pool: pool)
    var start = 0
    while start < records.count {
      let end = min(records.count, start + Self.window)
      try prefetch(records[start..<end], reader)
      for one in records[start..<end] { try apply(one, reader) }
      start = end
    }
  }

  /// Loads the nodes on the paths of map records, one level of all paths at a time.
  private func prefetch(
    _ records: ArraySlice<NumberedRecord>, _ reader: NodeReader
  ) throws(PoolOpeningError) {
    for _ in 0...FormatConstants.maximumLevel {
      var loads: [PoolAddress: NodeLoad] = [:]
      for one in records {
        guard case .map = one.record else { continue }
        // What cannot be prepared yet (its volume comes with an earlier record) is not looked
        // ahead at; whether it can be at all is found out when its turn comes.
        if case .missing(let load) = try? pool.prepare(replayed: one.record) {
          loads[load.address] = load
        }
      }
      if loads.isEmpty { return }
      let sorted = loads.values.sorted { $0.address < $1.address }
      do throws(TableDamage) { try reader.supply(sorted) } catch { throw .tableDamaged(error) }
    }
  }

  private func apply(_ one: NumberedRecord, _ reader: NodeReader) throws(PoolOpeningError) {
    while true {
      let preparation: Preparation
      do throws(FormatError) {
        preparation = try pool.prepare(replayed: one.record)
      } catch { throw .badRecord(one.number, error) }
      switch preparation {
      case .ready:
        pool.apply(replayed: one.record, number: one.number)
        return
      case .missing(let load):
        do throws(TableDamage) { try reader.supply([load]) } catch { throw .tableDamaged(error) }
      case .noSpace, .mustWaitForCheckpoint: throw .noSpace
      }
    }
  }
}
