import BlockExport
import BlockIO
import DiskFormat
import DiskSimulation
import StorageUnits
import VolumeEngine

/// A random history of hosts and an administrator, with the reference model beside it. The seed
/// decides everything.
final class CrashTestHistory {
  let server: CrashTestServer
  /// What must be there now.
  private(set) var expectation: CrashTestExpectation
  /// What went wrong while the server ran.
  private(set) var problems: [String] = []
  private var random: SeededRandom
  private var nextToken: UInt64 = 1
  private var nextName: UInt64
  private var requests: [UInt64: Request] = [:]
  private var creations: [UInt64: (name: String, sizeBytes: UInt64)] = [:]
  private var deletions: [UInt64: VolumeID] = [:]

  private enum Kind {
    case change(ReferenceModel.Operation, isDurable: Bool)
    case flush(VolumeID, arrival: UInt64)
    case read(VolumeID, Range<UInt64>, issued: UInt64)
  }
  private struct Request {
    var kind: Kind
    var buffer: RequestBuffer?
  }

  /// Sizes of volumes: odd ones, one with large blocks' worth of tail, a wide one.
  private static let sizes: [UInt64] = [512, 528 << 10, 263 << 10, 529 * 512, 2 << 30]

  init(_ server: CrashTestServer, _ expectation: CrashTestExpectation, seed: UInt64) {
    self.server = server
    self.expectation = expectation
    random = SeededRandom(seed: seed)
    nextName = seed << 20
    server.answered = { [unowned self] in take($0) }
    server.managementAnswered = { [unowned self] in take($0) }
  }

  /// What must be there if everything ended now: also what is on its way.
  func expectationNow() -> CrashTestExpectation {
    var copy = expectation
    copy.creationsInFlight = creations.values.map { $0 }
    return copy
  }

  // MARK: Steps

  func step() {
    switch random.below(100) {
    case ..<52 where requests.count < 10: act()
    case ..<58: server.advance(milliseconds: UInt64(random.below(800)))
    default: if !server.completeOne() { act() }
    }
    server.turn()
  }

  /// Ends what is in flight.
  func settle() { server.settle() }

  private func act() {
    let volumes = expectation.model.volumeIDs.filter {
      expectation.model.existence(of: $0) == .certain
    }
    if volumes.isEmpty || random.oneIn(30) && volumes.count < 5 {
      if creations.count < 2 { create() }
      return
    }
    let volume = volumes[random.below(volumes.count)]
    switch random.below(100) {
    case ..<40: write(volume)
    case ..<50: change(volume, .discard)
    case ..<60: change(volume, .writeZeroes)
    case ..<76: flush(volume)
    case ..<92: read(volume)
    case ..<94: delete(volume)
    case ..<97:
      nextToken += 1
      server.engine.checkpoint(token: nextToken)
    default: server.advance(milliseconds: 1100)
    }
  }

  // MARK: Volumes

  private func create() {
    nextName += 1
    nextToken += 1
    let name = "v\(nextName)"
    let size = Self.sizes[random.below(Self.sizes.count)]
    creations[nextToken] = (name, size)
    server.engine.createVolume(
      VolumeRecord(
        id: VolumeID(0), uuid: StorageUUID(high: nextName, low: 1), name: name, sizeBytes: size,
        logicalBlockBytes: 512, createdAt: 0, fullPolicy: .error), token: nextToken)
  }

  private func delete(_ volume: VolumeID) {
    nextToken += 1
    deletions[nextToken] = volume
    expectation.model.volumeDeleteIssued(volume)
    server.engine.deleteVolume(volume, token: nextToken)
  }

  private func take(_ answer: ManagementAnswer) {
    if let (name, size) = creations.removeValue(forKey: answer.token) {
      guard case .created(let id) = answer.result else {
        problems.append("create ended with \(answer.result)")
        return
      }
      expectation.model.volumeCreated(id, sizeBytes: size)
      expectation.names[id] = name
    } else if let volume = deletions.removeValue(forKey: answer.token) {
      if answer.result != .done { problems.append("delete ended with \(answer.result)") }
      expectation.model.volumeDeleted(volume)
    } else if answer.result != .done {
      problems.append("checkpoint ended with \(answer.result)")
    }
  }

  // MARK: Requests

  /// A range of the volume: anywhere at its start or end, or, in a wide one, at a few places.
  private func range(_ volume: VolumeID, atMost longest: Int) -> Range<UInt64> {
    let sectors = expectation.model.sizeBytes(of: volume) / 512
    var lowest: UInt64 = 0
    if sectors > 4096 {
      let places: [UInt64] = [0, 168 * 128 - 40, 3000 * 128, sectors - 300]
      lowest = places[random.below(places.count)]
    }
    let width = min(sectors - lowest, 1000)
    var first = lowest + UInt64(random.below(Int(width)))
    if random.oneIn(2) { first = first / 8 * 8 }
    let left = Int(lowest + width - first)
    var count = 1 + random.below(min(longest, left))
    if random.oneIn(2) { count = max(1, count / 8 * 8) }
    return first..<first + UInt64(count)
  }

  private func flags(_ others: ExportRequest.Flags = []) -> ExportRequest.Flags {
    random.oneIn(6) ? others.union(.forceUnitAccess) : others
  }

  private func write(_ volume: VolumeID) {
    let sectors = range(volume, atMost: random.oneIn(5) ? 300 : 24)
    let isZeros = random.oneIn(10)
    let operation = expectation.model.issueWrite(volume, sectors: sectors, isZeros: isZeros)
    let buffer = RequestBuffer(sectors: sectors)
    let memory = unsafe buffer.memory(of: sectors)
    if isZeros {
      _ = unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    } else {
      unsafe ReferenceModel.stamp(operation, into: memory)
    }
    submit(.write, flags(), volume, sectors, buffer) { .change(operation, isDurable: $0) }
  }

  private func change(_ volume: VolumeID, _ kind: ExportRequest.Operation) {
    let sectors = range(volume, atMost: random.oneIn(4) ? 700 : 60)
    let operation: ReferenceModel.Operation
    var options = flags()
    if kind == .discard {
      operation = expectation.model.issueDiscard(volume, sectors: sectors)
    } else {
      operation = expectation.model.issueWriteZeroes(volume, sectors: sectors)
      if random.oneIn(2) { options.insert(.noHole) }
    }
    submit(kind, options, volume, sectors, nil) { .change(operation, isDurable: $0) }
  }

  private func flush(_ volume: VolumeID) {
    let arrival = expectation.model.issueFlush()
    submit(.flush, [], volume, 0..<0, nil) { _ in .flush(volume, arrival: arrival) }
  }

  private func read(_ volume: VolumeID) {
    let sectors = range(volume, atMost: 200)
    let issued = expectation.model.issueRead()
    submit(.read, [], volume, sectors, RequestBuffer(sectors: sectors)) { _ in
      .read(volume, sectors, issued: issued)
    }
  }

  private func submit(
    _ operation: ExportRequest.Operation, _ flags: ExportRequest.Flags, _ volume: VolumeID,
    _ sectors: Range<UInt64>, _ buffer: RequestBuffer?, _ kind: (_ isDurable: Bool) -> Kind
  ) {
    nextToken += 1
    let token = nextToken
    requests[token] = Request(kind: kind(flags.contains(.forceUnitAccess)), buffer: buffer)
    let request = unsafe ExportRequest(
      operation, flags: flags, volume: volume, offset: sectors.lowerBound * 512,
      length: UInt64(sectors.count) * 512, buffer: buffer?.pointer(toSector: sectors.lowerBound),
      token: token)
    precondition(server.submit(request), "the history keeps fewer requests than there are slots")
  }

  private func take(_ answer: ExportAnswer) {
    guard let request = requests.removeValue(forKey: answer.token) else {
      problems.append("an answer to nothing: \(answer)")
      return
    }
    if let error = answer.error {
      fail(request, error)
      return
    }
    switch request.kind {
    case .change(let operation, let isDurable):
      expectation.model.answered(operation, isDurable: isDurable)
    case .flush(let volume, let arrival): expectation.model.flushed(volume, arrival: arrival)
    case .read(let volume, let sectors, let issued):
      guard let buffer = request.buffer else { return }
      let violations = unsafe expectation.model.checkRead(
        volume, firstSector: sectors.lowerBound,
        bytes: UnsafeRawBufferPointer(buffer.memory(of: sectors)), issued: issued)
      problems += violations.prefix(3).map { "read: \($0)" }
    }
  }

  private func fail(_ request: Request, _ error: ExportError) {
    let volume: VolumeID
    switch request.kind {
    case .change(let operation, _):
      volume = operation.volume
      expectation.model.failed(operation)
    case .flush(let flushed, _): volume = flushed
    case .read(let from, _, let issued):
      volume = from
      expectation.model.readEnded(issued: issued)
    }
    let isGoing = expectation.model.existence(of: volume) != .certain
    if error != .volumeGone || !isGoing { problems.append("a request ended with \(error)") }
  }
}
