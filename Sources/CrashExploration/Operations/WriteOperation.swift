import BlockExport
public import DiskSimulation
public import StorageUnits

/// A host writes sectors: stamped ones, or zeros; with FUA or without. Sectors that are not whole
/// blocks make the engine read, modify and write.
public struct WriteOperation: VolumeOperation {
  public var volume: VolumeID
  public var sectors: Range<UInt64>
  public var isZeros: Bool
  public var isDurable: Bool

  public init(
    _ volume: VolumeID, _ sectors: Range<UInt64>, zeros: Bool = false, fua: Bool = false
  ) {
    self.volume = volume
    self.sectors = sectors
    isZeros = zeros
    isDurable = fua
  }

  public static let weight = 40

  public static func draw(
    _ random: inout SeededRandom, in session: HostSession
  ) -> WriteOperation? {
    guard let volume = SectorRange.writable(&random, in: session) else { return nil }
    let longest = random.oneIn(5) ? 300 : 24
    let sectors = SectorRange.draw(&random, of: volume, atMost: longest, in: session)
    return WriteOperation(volume, sectors, zeros: random.oneIn(10), fua: random.oneIn(6))
  }

  public func isPossible(in session: HostSession) -> Bool {
    session.expectation.isWritable(volume)
  }

  public func issue(in session: HostSession) {
    let operation = session.expectation.model.issueWrite(
      volume, sectors: sectors, isZeros: isZeros)
    let buffer = RequestBuffer(sectors: sectors)
    let memory = unsafe buffer.memory(of: sectors)
    if isZeros {
      _ = unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    } else {
      unsafe ReferenceModel.stamp(operation, into: memory)
    }
    session.submit(
      .write, isDurable ? .forceUnitAccess : [], volume, sectors: sectors, buffer: buffer
    ) { [isDurable] in $0.changeEnded(operation, isDurable: isDurable, $1) }
  }

  public var description: String {
    "write\(isZeros ? "-of-zeros" : "") \(SectorRange.text(volume, sectors))"
      + (isDurable ? " fua" : "")
  }
}

extension HostSession {
  /// A request that changes sectors was answered.
  func changeEnded(
    _ operation: ReferenceModel.Operation, isDurable: Bool, _ error: ExportError?
  ) {
    if error == nil {
      expectation.model.answered(operation, isDurable: isDurable)
    } else {
      expectation.model.failed(operation)
    }
  }
}
