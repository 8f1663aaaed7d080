import DiskFormat
import PoolCore
import StorageUnits

/// The flush round in work and the requests that wait for it or for the next one.
///
///     idle ──▶ data barrier ──▶ journal write ──▶ journal barrier ──▶ idle
///                    └── nothing to journal ─────────────────────────────▶
@safe final class FlushRound {
  enum Phase {
    case idle, dataBarrier
    /// The journal has no room: a checkpoint that is under way makes some.
    case waitingForJournal
    case journalWrite, journalBarrier
  }

  var phase = Phase.idle
  /// The newest record that belongs to the round.
  var cut = RecordNumber(0)
  var batch: RecordBatch?
  var append: JournalAppend?
  var pendingCommands = 0
  /// Who is answered when it ends, and who takes the next one.
  var members = RequestList()
  var next = RequestList()
  /// Management operations likewise.
  var managementMembers: [ManagementAnswer] = []
  var managementNext: [ManagementAnswer] = []
  /// Parts that wait for room in the record buffer.
  var roomWaiters = PartList()
  /// Encoded journal blocks: room for a whole record buffer, taken at start.
  let blocks: UnsafeMutableRawBufferPointer
  /// By device index: writes completed when the round was cut, the journal's own left out.
  var samples: [UInt64]

  var isRunning: Bool { phase != .idle }
  var hasNext: Bool { !next.isEmpty || !managementNext.isEmpty || !roomWaiters.isEmpty }

  init(deviceCount: Int, recordBytes: Int) {
    samples = Array(repeating: 0, count: deviceCount)
    let count = JournalRing.blocksAtMost(forRecordBytes: recordBytes)
    unsafe blocks = .allocate(
      byteCount: count * FormatConstants.blockBytes, alignment: FormatConstants.blockBytes)
  }

  deinit { unsafe blocks.deallocate() }
}
