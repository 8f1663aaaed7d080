import BlockIO
import StorageUnits

/// A file that behaves as a disk with a volatile write cache under a power cut: a write is kept in
/// memory, and gets into the file with a flush, or early: wholly or torn at 512 bytes. So whenever
/// the process is killed, the file holds a state that a power cut may leave.
///
/// Belongs to one thread.
@safe final class VolatileDevice: SynchronousDevice {
  /// What the layer does, and how often.
  struct Conduct: Sendable {
    /// Of 100 writes, so many get into the file before a flush.
    var earlyPercent: Int
    /// A flush answers and does nothing: what the torture must find.
    var liesAboutFlushes: Bool
  }

  private let file: FileDevice
  private let conduct: Conduct
  private var random: VolatileRandom
  /// Blocks that have been written since the last flush, by number.
  private var unflushed: [UInt64: [UInt8]] = [:]

  private static let blockBytes = UInt64(StorageSizes.blockBytes)
  private static let zeros = [UInt8](repeating: 0, count: StorageSizes.blockBytes)

  /// `file` is opened without direct I/O, which could not tear.
  init(_ file: FileDevice, conduct: Conduct, seed: UInt64) {
    precondition(file.cacheMode == .buffered)
    self.file = file
    self.conduct = conduct
    random = VolatileRandom(seed: seed)
  }

  var name: String { file.name }
  var sizeBytes: UInt64 { file.sizeBytes }
  var logicalBlockBytes: Int { file.logicalBlockBytes }

  func read(at offset: DeviceByteOffset, into buffer: UnsafeMutableRawBufferPointer)
    throws(DeviceError)
  {
    try unsafe file.read(at: offset, into: buffer)
    guard !unflushed.isEmpty else { return }
    for start in stride(from: 0, to: buffer.count, by: StorageSizes.blockBytes) {
      guard let block = unflushed[(offset.bytes + UInt64(start)) / Self.blockBytes] else {
        continue
      }
      unsafe UnsafeMutableRawBufferPointer(
        rebasing: buffer[start..<start + StorageSizes.blockBytes]
      ).copyBytes(from: block)
    }
  }

  func write(at offset: DeviceByteOffset, from buffer: UnsafeRawBufferPointer)
    throws(DeviceError)
  {
    try unsafe landEarly(at: offset, buffer)
    unsafe remember(at: offset, buffer)
  }

  func flush() throws(DeviceError) {
    guard !conduct.liesAboutFlushes else { return }
    // In any order, so that a kill in between leaves any part of it.
    for block in unflushed.keys.shuffled(using: &random) {
      guard let bytes = unflushed[block] else { continue }
      try put(bytes, at: block * Self.blockBytes)
    }
    unflushed.removeAll(keepingCapacity: true)
  }

  // MARK: Pieces of a write

  /// The write has completed: reads see it, and the next flush covers it.
  func remember(at offset: DeviceByteOffset, _ buffer: UnsafeRawBufferPointer) {
    for start in stride(from: 0, to: buffer.count, by: StorageSizes.blockBytes) {
      unflushed[(offset.bytes + UInt64(start)) / Self.blockBytes] = unsafe Array(
        buffer[start..<start + StorageSizes.blockBytes])
    }
  }

  /// Now and then the write, or a part of it, gets into the file at once: perhaps while it is still
  /// in flight.
  func landEarly(at offset: DeviceByteOffset, _ buffer: UnsafeRawBufferPointer)
    throws(DeviceError)
  {
    guard Int(random.next() % 100) < conduct.earlyPercent else { return }
    let sectors = buffer.count / StorageSizes.sectorBytes
    var cut = 0..<sectors
    var isSieve = false
    switch random.next() % 4 {
    case 0: break
    case 1: cut = 0..<Int.random(in: 0...sectors, using: &random)
    case 2: cut = Int.random(in: 0...sectors, using: &random)..<sectors
    default: isSieve = true
    }
    for sector in cut where !isSieve || random.next() & 1 == 0 {
      let range = sector * StorageSizes.sectorBytes..<(sector + 1) * StorageSizes.sectorBytes
      let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[range])
      try unsafe file.write(
        at: DeviceByteOffset(offset.bytes + UInt64(range.lowerBound)), from: part)
    }
  }

  /// The range may keep its old bytes or read as zeros, now or after the power cut.
  func punch(at offset: DeviceByteOffset, length: Int) throws(DeviceError) {
    guard random.next() % 3 != 0 else { return }
    let landsAtOnce = random.next() & 1 == 0
    for start in stride(from: 0, to: length, by: StorageSizes.blockBytes) {
      let place = offset.bytes + UInt64(start)
      unflushed[place / Self.blockBytes] = Self.zeros
      if landsAtOnce { try put(Self.zeros, at: place) }
    }
  }

  private func put(_ bytes: [UInt8], at place: UInt64) throws(DeviceError) {
    let span = unsafe bytes.span.bytes
    try unsafe span.withUnsafeBytes { (buffer) throws(DeviceError) in
      try unsafe file.write(at: DeviceByteOffset(place), from: buffer)
    }
  }
}

/// Splitmix64: the same conduct for the same seed and history.
struct VolatileRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
