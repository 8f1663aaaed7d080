import BlockExport
import Management
import StorageUnits
import StreamFormat

/// What a stream will hold, found on the engine's thread before its first byte is sent.
struct SendPlan: Sendable {
  var header: StreamHeader
  var snapshot: VolumeID
}

/// Makes the stream of a snapshot and hands it out piece by piece. Memory: the windows of
/// `MappedReader` and one piece.
struct SnapshotSender {
  /// Pieces are handed out when they have this size.
  private static let pieceBytes = 1 << 20

  private let plan: SendPlan
  private let access: VolumeAccess
  private let sink: any ByteSink
  private var encoder: StreamEncoder
  private let hash = VolumeHash()
  private var piece: [UInt8] = []

  init(_ plan: SendPlan, on thread: EngineThread, to sink: any ByteSink) {
    self.plan = plan
    self.sink = sink
    access = VolumeAccess(thread: thread, volume: plan.snapshot)
    encoder = StreamEncoder(plan.header)
  }

  /// Returns when the last byte was taken.
  mutating func run(pool: String) async throws(ManagementError) {
    piece = plan.header.encoded()
    let reader = MappedReader(access, sizeBytes: plan.header.sizeBytes)
    while let window = try await nextWindow(reader, pool) {
      for run in window.runs { addData(window, run) }
      if piece.count >= Self.pieceBytes { try await handOut() }
    }
    piece += encoder.end(hash.finish(sizeBytes: plan.header.sizeBytes))
    try await handOut()
  }

  private func nextWindow(
    _ reader: MappedReader, _ pool: String
  ) async throws(ManagementError) -> MappedReader.Window? {
    do throws(ExportError) {
      return try await reader.next()
    } catch {
      throw ManagementError(
        transfer: error, of: "\(plan.header.volumeName)@\(plan.header.snapshotName)", pool: pool)
    }
  }

  private mutating func handOut() async throws(ManagementError) {
    try await sink.write(piece)
    piece.removeAll(keepingCapacity: true)
  }

  /// The blocks of a run that are not zero, as few frames as possible. Zeros that are stored are
  /// left out like holes: they read the same.
  private mutating func addData(_ window: MappedReader.Window, _ run: Range<UInt64>) {
    unsafe hash.add(offset: run.lowerBound, window.bytes(run))
    let block = UInt64(StreamFormat.blockBytes)
    var start: UInt64?
    var at = run.lowerBound
    while at < run.upperBound {
      let end = min(at + block, run.upperBound)
      if unsafe VolumeHash.isZero(window.bytes(at..<end)) {
        if let first = start { addFrame(window, first..<at) }
        start = nil
      } else if start == nil {
        start = at
      }
      at = end
    }
    if let first = start { addFrame(window, first..<run.upperBound) }
  }

  private mutating func addFrame(_ window: MappedReader.Window, _ range: Range<UInt64>) {
    unsafe piece += encoder.data(offset: range.lowerBound, window.bytes(range))
  }
}
