import DiskFormat
import PoolCore
import StorageUnits

/// Reads the nodes that a pool asks for and supplies them.
struct NodeReader {
  let devices: DeviceSet
  let pool: Pool

  func supply(_ loads: [NodeLoad]) throws(TableDamage) {
    let wanted = loads.map { load in
      let places = pool.places(of: load.address)
      return BlockReader.Wanted(first: places.first, second: places.second)
    }
    try unsafe BlockReader(devices: devices).read(wanted, of: .map) {
      (index, bytes) throws(FormatError) in
      guard let base = bytes.baseAddress else { preconditionFailure("a block has memory") }
      try unsafe pool.supply(loads[index], from: base)
    }
  }
}
