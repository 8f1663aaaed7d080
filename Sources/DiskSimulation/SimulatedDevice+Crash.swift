public import StorageUnits

extension SimulatedDevice {
  /// Into how many parts a write of this length can be torn.
  func atoms(of length: Int) -> Int { (length + logicalBlockBytes - 1) / logicalBlockBytes }

  /// The writes that a power cut may lose: those completed, in order of completion, then those
  /// that were in flight, in order of submission.
  public var unflushedWrites: [UnflushedWrite] { unflushedWrites(of: DeviceIndex(index: 0)) }

  func unflushedWrites(of device: DeviceIndex) -> [UnflushedWrite] {
    pendingWrites.map {
      UnflushedWrite(
        device: device, sequence: $0.sequence, offset: DeviceByteOffset($0.offset),
        length: $0.length, atoms: atoms(of: $0.length), isCompleted: $0.completion > 0,
        isPunch: $0.isPunch)
    }
  }

  /// In the order of `unflushedWrites`.
  public var pendingWrites: [PendingWrite] { state.unflushed + state.late + state.inFlight }
  /// Those of them that have not completed.
  public var writesInFlight: [PendingWrite] { state.inFlight }
  /// What survives a power cut that keeps nothing more.
  public var durableContents: SparseBytes { state.durable }
  /// What reads see.
  public var visibleContents: SparseBytes { state.visible }

  /// The power goes: keeps what `chooser` says of the unflushed writes, forgets the rest.
  public func powerCut(choosing chooser: inout some CrashChooser) {
    let writes = unflushedWrites
    var fates: [WriteFate] = []
    for (i, write) in writes.enumerated() {
      fates.append(chooser.fate(of: write, index: i, count: writes.count))
    }
    powerCut(fates: fates)
  }

  /// `fates` are in the order of `unflushedWrites`.
  func powerCut(fates: [WriteFate]) {
    let writes = pendingWrites
    precondition(fates.count == writes.count)
    for (write, fate) in zip(writes, fates) {
      write.apply(fate, atomBytes: logicalBlockBytes, to: &state.durable)
    }
    state.visible = state.durable
    state.unflushed = []
    state.inFlight = []
    state.late = []
  }

  /// The process dies; the kernel goes on with what was in flight. Everything stays volatile: a
  /// power cut afterwards can still lose it.
  public func processDeath(_ death: ProcessDeath) {
    let writes = state.inFlight
    state.inFlight = []
    var random = SeededRandom(seed: 0)
    if case .seeded(let seed) = death { random = SeededRandom(seed: seed) }
    for write in writes {
      switch death {
      case .inFlightLands: land(write, fate: .whole)
      case .inFlightLandsLate: state.late.append(write)
      case .seeded:
        switch random.below(4) {
        case 0: land(write, fate: .scattered(seed: random.next()))
        case 1: state.late.append(write)
        case 2: break
        default: land(write, fate: .whole)
        }
      }
    }
  }

  /// Whether writes of a dead process have not landed yet.
  public var hasLateWrites: Bool { !state.late.isEmpty }

  /// The writes that a dead process left behind land now.
  public func landLateWrites() {
    let writes = state.late
    state.late = []
    for write in writes { land(write, fate: .whole) }
  }

  /// The bytes as a reader sees them now, for checks: no operation is counted.
  public func contents(at offset: DeviceByteOffset, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    unsafe bytes.withUnsafeMutableBytes { unsafe state.visible.read(at: offset.bytes, into: $0) }
    return bytes
  }

  /// Replaces stored bytes, durably, for damaging a device in a test: no operation is counted.
  public func overwrite(at offset: DeviceByteOffset, with bytes: [UInt8]) {
    unsafe bytes.withUnsafeBytes {
      unsafe state.durable.write(at: offset.bytes, from: $0)
      unsafe state.visible.write(at: offset.bytes, from: $0)
    }
  }
}
