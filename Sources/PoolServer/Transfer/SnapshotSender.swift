import BlockExport
import Management
import PoolCore
import StorageUnits
import StreamFormat
import VolumeEngine

/// What a stream will hold, found on the engine's thread before its first byte is sent.
struct SendPlan: Sendable {
  var header: StreamHeader
  var snapshot: VolumeID
  /// What the receiver has.
  var base: ChangeBase
}

extension SendPlan {
  /// Sends only what changed since a base of the snapshot at `slot`.
  mutating func take(
    _ base: StreamBase, of snapshot: SnapshotName, at slot: VolumeSlot, _ pool: Pool
  ) throws(ManagementError) {
    let found: FoundBase
    switch base {
    case .snapshot(let name):
      guard let at = pool.volume(named: name.description) else {
        throw .snapshotNotFound(name, pool: pool.name)
      }
      found = FoundBase(pool.record(of: at))
    case .bookmark(let mark):
      found = try FoundBase(mark, of: slot, named: .snapshot(snapshot), pool)
    }
    guard found.identity != header.snapshot else {
      throw ManagementError(
        .invalidArgument, "'\(base)' is both the snapshot and the base",
        correction: "Name an earlier snapshot, or a bookmark of one, with --since.",
        objects: [ManagementObject(.snapshot, "\(pool.name)/\(snapshot)")])
    }
    header.base = found.identity
    header.baseName = found.snapshotName
    // How much changed is found out while it is sent.
    header.expectedBytes = 0
    self.base = found.base
  }
}

/// Makes the stream of a snapshot and hands it out piece by piece. Memory: the windows of
/// `MappedReader`, a page of changes, and a piece.
struct SnapshotSender {
  /// Pieces are handed out when they have this size.
  private static let pieceBytes = 1 << 20

  private let plan: SendPlan
  private let access: VolumeAccess
  private let sink: any ByteSink
  private let changes: ChangeReader?
  private var encoder: StreamEncoder
  private let hash = VolumeHash()
  private var piece: [UInt8] = []
  /// What has become zeros and is in no frame yet: neighbours share one.
  private var zeros: Range<UInt64>?

  init(_ plan: SendPlan, on thread: EngineThread, to sink: any ByteSink) {
    self.plan = plan
    self.sink = sink
    access = VolumeAccess(thread: thread, volume: plan.snapshot)
    changes =
      plan.base == .nothing
      ? nil : ChangeReader(thread: thread, target: plan.snapshot, base: plan.base)
    encoder = StreamEncoder(plan.header)
  }

  /// Returns when the last byte was taken.
  mutating func run() async throws(ManagementError) {
    piece = plan.header.encoded()
    // A receiver that cannot take it says so before anything is read.
    try await handOut()
    let reader = MappedReader(access, sizeBytes: plan.header.sizeBytes)
    while let window = try await nextWindow(reader) {
      for run in window.runs { unsafe hash.add(offset: run.lowerBound, window.bytes(run)) }
      if changes == nil {
        for run in window.runs { addBlocks(window, run) }
      } else {
        try await addChanges(before: window.end, window)
      }
      if piece.count >= Self.pieceBytes { try await handOut() }
    }
    try await addChanges(before: plan.header.sizeBytes, nil)
    addPendingZeros()
    piece += encoder.end(hash.finish(sizeBytes: plan.header.sizeBytes))
    try await handOut()
  }

  private func nextWindow(
    _ reader: MappedReader
  ) async throws(ManagementError) -> MappedReader.Window? {
    do throws(ExportError) {
      return try await reader.next()
    } catch { throw problem(error) }
  }

  private func problem(_ error: ExportError) -> ManagementError {
    ManagementError(
      transfer: error, of: "\(plan.header.volumeName)@\(plan.header.snapshotName)",
      pool: plan.header.poolName)
  }

  private mutating func handOut() async throws(ManagementError) {
    try await sink.write(piece)
    piece.removeAll(keepingCapacity: true)
  }

  // MARK: What changed

  /// Everything that changed before `end`, which is the window's end if there is one: what it has
  /// is data, and what lies before or between its runs is zeros.
  private mutating func addChanges(
    before end: UInt64, _ window: MappedReader.Window?
  ) async throws(ManagementError) {
    while let range = try await nextChange(before: end) {
      var at = range.lowerBound
      for run in window?.runs ?? [] {
        let data = run.clamped(to: at..<range.upperBound)
        if data.isEmpty { continue }
        addZeros(at..<data.lowerBound)
        if let window { addBlocks(window, data) }
        at = data.upperBound
      }
      addZeros(at..<range.upperBound)
    }
  }

  private func nextChange(
    before end: UInt64
  ) async throws(ManagementError) -> Range<UInt64>? {
    guard let changes else { return nil }
    do throws(ExportError) {
      return try await changes.next(before: end)
    } catch { throw problem(error) }
  }

  // MARK: Frames

  /// The blocks of a run that are not zero, as few frames as possible. Zeros that are stored read
  /// the same as holes, and are sent as such.
  private mutating func addBlocks(_ window: MappedReader.Window, _ run: Range<UInt64>) {
    let block = UInt64(StreamFormat.blockBytes)
    var start = run.lowerBound
    var isData = false
    var at = run.lowerBound
    while at < run.upperBound {
      let end = min(at + block, run.upperBound)
      let hasData = unsafe !VolumeHash.isZero(window.bytes(at..<end))
      if hasData != isData {
        add(window, start..<at, isData)
        start = at
        isData = hasData
      }
      at = end
    }
    add(window, start..<run.upperBound, isData)
  }

  private mutating func add(
    _ window: MappedReader.Window, _ range: Range<UInt64>, _ isData: Bool
  ) {
    guard isData else { return addZeros(range) }
    addPendingZeros()
    unsafe piece += encoder.data(offset: range.lowerBound, window.bytes(range))
  }

  /// Without a base everything is zeros until something else is said.
  private mutating func addZeros(_ range: Range<UInt64>) {
    if changes == nil || range.isEmpty { return }
    if let pending = zeros, pending.upperBound == range.lowerBound {
      zeros = pending.lowerBound..<range.upperBound
    } else {
      addPendingZeros()
      zeros = range
    }
  }

  private mutating func addPendingZeros() {
    guard let range = zeros else { return }
    zeros = nil
    piece += encoder.zeros(
      offset: range.lowerBound, length: range.upperBound - range.lowerBound)
  }
}
