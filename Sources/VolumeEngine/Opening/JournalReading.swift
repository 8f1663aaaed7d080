import BlockIO
import DiskFormat
import PoolCore
import StorageUnits

/// Reads the journal ring: once wholly, to find the chain, and then the chain's records in order.
struct JournalReading {
  let devices: DeviceSet
  let superblock: Superblock

  private static let chunkBlocks = 256

  private var stream: JournalStream { superblock.streams[0] }
  private var places: [DevicePlace] { [stream.place, stream.secondPlace].compactMap { $0 } }

  /// Reads the ring in every place and finds the chain that is to be replayed.
  ///
  /// A pool that was closed has nothing to replay. Its first blocks are read all the same: a start
  /// that its superblock does not know of would have begun there, and the superblock would be an
  /// old one.
  func chain() throws(PoolOpeningError) -> (chain: JournalChain, namedSuperblock: UInt64) {
    for place in places where !devices.contains(place, blockCount: UInt64(stream.blockCount)) {
      throw .superblockContradictsDevices("the journal lies on no device")
    }
    let blockCount =
      superblock.isOpen
      ? Int(stream.blockCount) : min(Self.chunkBlocks, Int(stream.blockCount))
    var scan = JournalScan(superblock: superblock)
    let memory = AlignedMemory(byteCount: min(Self.chunkBlocks, blockCount) * 4096)
    for (number, place) in places.enumerated() {
      let device = devices.device(place.device)
      var position = 0
      while position < blockCount {
        let count = min(Self.chunkBlocks, blockCount - position)
        let from = place.advanced(byBlocks: UInt64(position)).byteOffset
        let isRead: Bool
        do throws(DeviceError) {
          try unsafe device.read(at: from, into: memory.blocks(0, count: count))
          isRead = true
        } catch { isRead = false }
        for block in 0..<count {
          if !isRead {
            let at = place.advanced(byBlocks: UInt64(position + block)).byteOffset
            // The other place may have it.
            do throws(DeviceError) {
              try unsafe device.read(at: at, into: memory.blocks(block))
            } catch {
              if superblock.isOpen {
                scan.noteUnreadable(place: number, position: position + block)
              }
              continue
            }
          }
          guard let base = unsafe memory.blocks(block).baseAddress else { continue }
          unsafe scan.note(NodeImage(viewing: base), place: number, position: position + block)
        }
        position += count
      }
    }
    do throws(JournalScanError) {
      return (try scan.chain(), scan.namedSuperblock)
    } catch { throw .journal(error) }
  }

  /// Gives the records that count, in order and in runs of many at a time, for prefetching.
  func forEachRun(
    of chain: JournalChain,
    _ body: ([NumberedRecord]) throws(PoolOpeningError) -> Void
  ) throws(PoolOpeningError) {
    if chain.blocks.isEmpty { return }
    let memory = AlignedMemory(byteCount: min(Self.chunkBlocks, chain.blocks.count) * 4096)
    var first = 0
    while first < chain.blocks.count {
      let count = min(Self.chunkBlocks, chain.blocks.count - first)
      var records: [NumberedRecord] = []
      for i in 0..<count {
        let sequence = chain.firstSequence + UInt64(first + i)
        try unsafe read(chain.blocks[first + i], sequence, into: memory.blocks(i))
        try unsafe collect(chain, sequence, memory.blocks(i), into: &records)
      }
      try body(records)
      first += count
    }
  }

  private func read(
    _ block: JournalChain.Block, _ sequence: UInt64, into bytes: UnsafeMutableRawBufferPointer
  ) throws(PoolOpeningError) {
    let position = (sequence - 1) % UInt64(stream.blockCount)
    let first = Int(block.place)
    var failure: DeviceError?
    // The place that was good, then the other one: the checksum tells whether it is as good.
    for number in [first] + places.indices.filter({ $0 != first }) {
      let place = places[number].advanced(byBlocks: position)
      do throws(DeviceError) {
        return try unsafe devices.device(place.device).read(at: place.byteOffset, into: bytes)
      } catch { failure = failure ?? error }
    }
    if let failure { throw .device(failure) }
  }

  private func collect(
    _ chain: JournalChain, _ sequence: UInt64, _ bytes: UnsafeMutableRawBufferPointer,
    into records: inout [NumberedRecord]
  ) throws(PoolOpeningError) {
    guard let base = bytes.baseAddress else { preconditionFailure("a block has memory") }
    let image = unsafe NodeImage(viewing: base)
    do throws(FormatError) {
      let header = try JournalBlockHeader.decode(image)
      // It was good a moment ago.
      let expected = chain.blocks[Int(sequence - chain.firstSequence)].checksum
      guard image.journalChecksum == expected else { throw .badChecksum(.journalBlock) }
      var offset = 0
      for i in 0..<UInt64(header.recordCount) {
        let next = try Record.decode(fromJournal: image, header, at: offset)
        offset += next.length
        let number = RecordNumber(header.firstRecord.number + i)
        if number < chain.firstRecord || chain.lastRecord < number { continue }
        records.append(NumberedRecord(number: number, record: next.record))
      }
    } catch { throw .journal(.unreadableRecords(sequence: sequence)) }
  }
}

/// A record that is to be replayed.
struct NumberedRecord {
  var number: RecordNumber
  var record: Record
}
