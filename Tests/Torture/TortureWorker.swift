import Foundation
import ServerHarness

/// One connection that writes, discards, zeroes, flushes and reads until its server is dead.
///
/// Used by one thread at a time: its own while it runs, the torture's in between.
final class TortureWorker: @unchecked Sendable {
  private enum Kind { case write, forcedWrite, zeroes, trim, flush, read }

  private struct Request {
    var kind: Kind
    /// In the ledger.
    var sectors: Range<Int>
    var change: SectorLedger.Change?
    /// Of a flush: how many changes had been answered when it was sent.
    var covers = 0
    /// Of a read: what each sector holds.
    var expected: [UInt64] = []
  }

  let volume: String
  private let volumeNumber: UInt64
  private let places: TorturePlaces
  /// A power cut takes what was not flushed; a killed process only what was not answered.
  private let losesUnflushed: Bool
  private var ledger: SectorLedger
  private var generator: SeededGenerator
  private var underWay: [UInt64: Request] = [:]
  /// Answered changes that no flush covers yet, in the order of their answers.
  private var answered: [SectorLedger.Change] = []
  private(set) var answers = 0
  private(set) var failure: TortureFinding?

  init(
    volume: String, volumeNumber: UInt64, connection: Int, losesUnflushed: Bool, seed: UInt64
  ) {
    self.volume = volume
    self.volumeNumber = volumeNumber
    self.losesUnflushed = losesUnflushed
    places = TorturePlaces(connection: connection)
    ledger = SectorLedger(count: places.sectorCount)
    generator = SeededGenerator(seed: seed)
  }

  // MARK: Load

  /// Works until the connection breaks, which is the server's end.
  func run(on server: String, until mark: KillMark) {
    underWay = [:]
    answered = []
    do {
      let client = try NBDConnection(socket: server, export: volume)
      while true {
        while underWay.count < 12 { try send(client) }
        try take(try client.nextAnswer())
      }
    } catch {
      failure = mark.finding(error, of: volume)
    }
  }

  private func send(_ client: NBDConnection) throws {
    let roll = Int.random(in: 0..<100, using: &generator)
    let kind: Kind =
      switch roll {
      case 0..<60: .write
      case 60..<65: .forcedWrite
      case 65..<72: .zeroes
      case 72..<80: .trim
      case 80..<84: .flush
      default: .read
      }
    if kind == .flush {
      underWay[try client.submit(.flush)] = Request(
        kind: kind, sectors: 0..<0, covers: answered.count)
      return
    }
    guard let (sectors, offset) = freeRange() else { return }
    try send(client, kind, sectors, offset)
  }

  private func send(
    _ client: NBDConnection, _ kind: Kind, _ sectors: Range<Int>, _ offset: UInt64
  ) throws {
    var request = Request(kind: kind, sectors: sectors)
    let length = UInt32(sectors.count * 512)
    let cookie: UInt64
    switch kind {
    case .write, .forcedWrite:
      let change = ledger.begin(sectors, isZero: false)
      request.change = change
      cookie = try client.submit(
        .write, offset: offset, length: length,
        flags: kind == .forcedWrite ? .forceUnitAccess : [],
        payload: StampedBytes.sectors(
          offset / 512, count: sectors.count, volume: volumeNumber, version: change.version))
    case .zeroes:
      request.change = ledger.begin(sectors, isZero: true)
      let holdsSpace = Bool.random(using: &generator)
      cookie = try client.submit(
        .writeZeroes, offset: offset, length: length, flags: holdsSpace ? .noHole : [])
    case .trim:
      // Whole blocks are taken; parts of one keep what they hold.
      let first = (sectors.lowerBound + 7) / 8 * 8
      let end = sectors.upperBound / 8 * 8
      request.change = ledger.begin(first..<max(first, end), isZero: true)
      cookie = try client.submit(.trim, offset: offset, length: length)
    case .read:
      request.expected = sectors.map(ledger.current)
      cookie = try client.submit(.read, offset: offset, length: length)
    case .flush: preconditionFailure("a flush has no range")
    }
    underWay[cookie] = request
  }

  /// A range that no request under way touches, mostly short, and where it lies in the volume.
  private func freeRange() -> (sectors: Range<Int>, offset: UInt64)? {
    let isDense = Bool.random(using: &generator)
    let number = isDense ? 0 : Int.random(in: 1..<places.pieces.count, using: &generator)
    let piece = places.pieces[number]
    let longest = Int.random(in: 0..<12, using: &generator) == 0 ? 400 : 24
    let start = Int.random(in: piece.sectors, using: &generator)
    let count = Int.random(
      in: 1...min(longest, piece.sectors.upperBound - start), using: &generator)
    var sectors = start..<start + count
    if Bool.random(using: &generator) {
      // Whole blocks, so that trims and writes without a read before are met often.
      let first = start / 8 * 8
      sectors = first..<min(piece.sectors.upperBound, (start + count + 7) / 8 * 8)
    }
    guard !underWay.values.contains(where: { $0.sectors.overlaps(sectors) }) else { return nil }
    return (sectors, piece.offset + UInt64(sectors.lowerBound - piece.sectors.lowerBound) * 512)
  }

  private func take(_ answer: NBDConnection.Answer) throws {
    guard let request = underWay.removeValue(forKey: answer.cookie), answer.error == 0 else {
      throw TortureFinding("\(volume): answer \(answer.cookie) with error \(answer.error)")
    }
    answers += 1
    switch request.kind {
    case .flush:
      guard losesUnflushed else { return }
      for change in answered.prefix(request.covers) { ledger.settle(change) }
      answered.removeFirst(min(request.covers, answered.count))
      for (cookie, other) in underWay where other.covers > 0 {
        underWay[cookie]?.covers = max(0, other.covers - request.covers)
      }
    case .read:
      try compare(answer.data, request)
    case .write, .forcedWrite, .zeroes, .trim:
      guard let change = request.change else { return }
      if losesUnflushed && request.kind != .forcedWrite {
        answered.append(change)
      } else {
        ledger.settle(change)
      }
    }
  }

  private func compare(_ data: [UInt8], _ request: Request) throws {
    for (n, i) in request.sectors.enumerated() {
      let found = version(of: data, n, at: i)
      guard found == request.expected[n] else {
        throw TortureFinding(
          "\(volume): a read of sector \(sector(of: i)) gave"
            + " \(found.map(String.init) ?? "foreign or torn bytes"), not \(request.expected[n])")
      }
    }
  }

  private func version(of data: [UInt8], _ n: Int, at i: Int) -> UInt64? {
    StampedBytes.version(
      of: data[n * 512..<(n + 1) * 512], sector: sector(of: i), volume: volumeNumber)
  }

  /// The volume's sector that has this number in the ledger.
  private func sector(of i: Int) -> UInt64 {
    guard let piece = places.pieces.first(where: { $0.sectors.contains(i) }) else {
      preconditionFailure("no piece has sector \(i)")
    }
    return piece.offset / 512 + UInt64(i - piece.sectors.lowerBound)
  }

  // MARK: After the crash

  /// Reads everything back; what is found is what holds from now on.
  func check(on server: String) throws {
    let client = try NBDConnection(socket: server, export: volume)
    for piece in places.pieces {
      let data = try client.read(piece.offset, piece.sectors.count * 512)
      for (n, i) in piece.sectors.enumerated() {
        if let problem = ledger.accept(version(of: data, n, at: i), at: i) {
          throw TortureFinding("\(volume): sector \(sector(of: i)) holds \(problem)")
        }
      }
    }
  }
}

/// Something that must not be.
struct TortureFinding: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
