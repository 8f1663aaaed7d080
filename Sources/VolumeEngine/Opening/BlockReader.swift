import BlockIO
import DiskFormat
import StorageUnits

/// Reads blocks that have one or two places: many at once, and from the second place what the first
/// does not hold well.
struct BlockReader {
  let devices: DeviceSet

  /// Something to read.
  struct Wanted {
    var first: DevicePlace
    var second: DevicePlace?
    /// In 4 KiB blocks.
    var blockCount = 1
  }

  /// How many blocks are read at once.
  static let batchBlocks = 512

  /// Reads everything wanted, and gives each to `accept` (index, bytes), which throws if the bytes
  /// are not what they should be. `accept` may be called twice for one, then with the second
  /// place's bytes.
  func read(
    _ wanted: [Wanted], of table: TableDamage.Table,
    accept: (Int, UnsafeMutableRawBufferPointer) throws(FormatError) -> Void
  ) throws(TableDamage) {
    for one in wanted {
      for place in [one.first, one.second].compactMap({ $0 })
      where !devices.contains(place, blockCount: UInt64(one.blockCount)) {
        throw TableDamage(table: table, place: place, problem: .badPlace)
      }
    }
    var start = 0
    while start < wanted.count {
      var end = start
      var blocks = 0
      while end < wanted.count
        && (end == start || blocks + wanted[end].blockCount <= Self.batchBlocks)
      {
        blocks += wanted[end].blockCount
        end += 1
      }
      let memory = AlignedMemory(byteCount: blocks * 4096)
      try unsafe readBatch(wanted, start..<end, into: memory, of: table, accept: accept)
      start = end
    }
  }

  private func readBatch(
    _ wanted: [Wanted], _ range: Range<Int>, into memory: borrowing AlignedMemory,
    of table: TableDamage.Table,
    accept: (Int, UnsafeMutableRawBufferPointer) throws(FormatError) -> Void
  ) throws(TableDamage) {
    var parts: [(index: Int, firstBlock: Int)] = []
    var next = 0
    for index in range {
      parts.append((index, next))
      next += wanted[index].blockCount
    }
    let unread = readFirstPlaces(wanted, parts, memory)
    for part in parts {
      let one = wanted[part.index]
      let bytes = unsafe memory.blocks(part.firstBlock, count: one.blockCount)
      var problem: TableDamage.Problem?
      if unread.contains(one.first.device) {
        problem = unsafe tryRead(one.first, bytes)
      }
      if problem == nil { problem = unsafe check(part.index, bytes, accept) }
      var place = one.first
      if problem != nil, let second = one.second {
        place = second
        problem = unsafe tryRead(second, bytes) ?? check(part.index, bytes, accept)
      }
      if let problem { throw TableDamage(table: table, place: place, problem: problem) }
    }
  }

  /// Reads the first places, device by device; gives the devices of which something could not be
  /// read this way.
  private func readFirstPlaces(
    _ wanted: [Wanted], _ parts: [(index: Int, firstBlock: Int)],
    _ memory: borrowing AlignedMemory
  ) -> Set<DeviceIndex> {
    var reads: [DeviceIndex: [(offset: DeviceByteOffset, buffer: UnsafeMutableRawBufferPointer)]] =
      unsafe [:]
    for part in parts {
      let one = wanted[part.index]
      let buffer = unsafe memory.blocks(part.firstBlock, count: one.blockCount)
      unsafe reads[one.first.device, default: []].append((one.first.byteOffset, buffer))
    }
    var unread: Set<DeviceIndex> = []
    for unsafe(index, list) in unsafe reads {
      do throws(DeviceError) {
        try unsafe devices.device(index).readBatch(list)
      } catch { unread.insert(index) }
    }
    return unread
  }

  private func tryRead(
    _ place: DevicePlace, _ bytes: UnsafeMutableRawBufferPointer
  ) -> TableDamage.Problem? {
    do throws(DeviceError) {
      try unsafe devices.device(place.device).read(at: place.byteOffset, into: bytes)
      return nil
    } catch { return .device(error) }
  }

  private func check(
    _ index: Int, _ bytes: UnsafeMutableRawBufferPointer,
    _ accept: (Int, UnsafeMutableRawBufferPointer) throws(FormatError) -> Void
  ) -> TableDamage.Problem? {
    do throws(FormatError) {
      try unsafe accept(index, bytes)
      return nil
    } catch { return .format(error) }
  }
}
