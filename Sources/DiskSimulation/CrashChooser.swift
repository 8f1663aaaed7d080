public import StorageUnits

/// What a power cut makes of one unflushed write. An atom is what a device writes wholly or not at
/// all: 512 bytes, or 4096 on a device with such sectors.
public enum WriteFate: Hashable, Sendable {
  case absent
  case whole
  /// Only the first atoms were written.
  case prefix(atoms: Int)
  /// Only the last atoms were written.
  case suffix(atoms: Int)
  /// Each atom was written or not, as the seed says.
  case scattered(seed: UInt64)

  func keeps(atom: Int, of count: Int) -> Bool {
    switch self {
    case .absent: false
    case .whole: true
    case .prefix(let atoms): atom < atoms
    case .suffix(let atoms): atom >= count - atoms
    case .scattered(let seed): SeededRandom.mix(seed ^ UInt64(atom)) & 1 == 1
    }
  }
}

/// An unflushed write as a `CrashChooser` sees it.
public struct UnflushedWrite: Hashable, Sendable {
  /// The position of the device in its `SimulatedDisks`, 0 for a device alone.
  public var device: DeviceIndex
  /// Its place in the order of submission to the device.
  public var sequence: UInt64
  public var offset: DeviceByteOffset
  /// In bytes.
  public var length: Int
  /// Into how many atoms it can be torn.
  public var atoms: Int
  /// The host or engine has seen its completion.
  public var isCompleted: Bool
  /// It came from `punchHole`: what it writes is zeros.
  public var isPunch: Bool
}

/// Decides what a power cut leaves. It is asked once for each unflushed write: those of the first
/// device in order of completion, its writes in flight in order of submission, the next device.
/// Kept writes are applied in that order, so that of two writes to a sector the later one stays.
public protocol CrashChooser: Sendable {
  mutating func fate(of write: UnflushedWrite, index: Int, count: Int) -> WriteFate
}

/// The same for every write: nothing or everything reached the medium.
public struct UniformCrash: CrashChooser {
  public var fate: WriteFate
  public init(_ fate: WriteFate) { self.fate = fate }
  public func fate(of write: UnflushedWrite, index: Int, count: Int) -> WriteFate { fate }

  public static let allAbsent = UniformCrash(.absent)
  public static let allWhole = UniformCrash(.whole)
}

/// Write `i` is whole if bit `i` is set, absent otherwise; those from 64 on are absent.
public struct SubsetCrash: CrashChooser {
  public var bits: UInt64
  public init(bits: UInt64) { self.bits = bits }
  public func fate(of write: UnflushedWrite, index: Int, count: Int) -> WriteFate {
    index < 64 && bits >> UInt64(index) & 1 == 1 ? .whole : .absent
  }
}

/// One write has a fate of its own, another chooser decides the rest.
public struct SingledOutCrash<Rest: CrashChooser>: CrashChooser {
  public var index: Int
  public var fate: WriteFate
  public var rest: Rest
  public init(index: Int, fate: WriteFate, rest: Rest) {
    self.index = index
    self.fate = fate
    self.rest = rest
  }
  public mutating func fate(of write: UnflushedWrite, index: Int, count: Int) -> WriteFate {
    index == self.index ? fate : rest.fate(of: write, index: index, count: count)
  }
}

/// Draws from a seed: first how much survives at all, then each write, torn ones among them.
public struct SeededCrash: CrashChooser {
  private enum Style: CaseIterable, Sendable { case half, few, most, allButOne, onlyOne, none, all }
  private var random: SeededRandom
  private let style: Style
  private let pick: UInt64

  public init(seed: UInt64) {
    random = SeededRandom(seed: seed)
    style = Style.allCases[random.below(Style.allCases.count)]
    pick = random.next()
  }

  public mutating func fate(of write: UnflushedWrite, index: Int, count: Int) -> WriteFate {
    let isPicked = index == Int(pick % UInt64(count))
    switch style {
    case .half: return random.oneIn(2) ? perhapsTorn(write) : .absent
    case .few: return random.oneIn(8) ? perhapsTorn(write) : .absent
    case .most: return random.oneIn(8) ? .absent : perhapsTorn(write)
    case .allButOne: return isPicked ? tornOrAbsent(write) : .whole
    case .onlyOne: return isPicked ? perhapsTorn(write) : .absent
    case .none: return .absent
    case .all: return .whole
    }
  }

  private mutating func perhapsTorn(_ write: UnflushedWrite) -> WriteFate {
    random.oneIn(4) ? torn(write) : .whole
  }

  private mutating func tornOrAbsent(_ write: UnflushedWrite) -> WriteFate {
    random.oneIn(2) ? torn(write) : .absent
  }

  private mutating func torn(_ write: UnflushedWrite) -> WriteFate {
    switch random.below(3) {
    case 0: .prefix(atoms: random.below(write.atoms))
    case 1: .suffix(atoms: random.below(write.atoms))
    default: .scattered(seed: random.next())
    }
  }
}

/// What becomes of the writes in flight of a process that dies: the kernel finishes what it was
/// given.
public enum ProcessDeath: Hashable, Sendable {
  /// Everything in flight lands at once.
  case inFlightLands
  /// Everything in flight lands when `landLateWrites` is called: a device slower than the restart.
  case inFlightLandsLate
  /// Each write in flight lands now, late or never, as the seed says.
  case seeded(UInt64)
}
