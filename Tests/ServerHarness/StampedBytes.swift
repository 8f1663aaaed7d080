/// Bytes that tell where they belong and which write they come from, so that data in a wrong place
/// or of a wrong age is seen.
public enum StampedBytes {
  public static let blockLength = 4096

  /// `count` pseudo-random bytes, the same for the same seed, none of them zero.
  public static func random(_ count: Int, seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      // Word by word: byte by byte takes minutes of a debug build's time.
      for start in stride(from: 0, to: count, by: 8) {
        let word = generator.next() | 0x0101_0101_0101_0101
        for index in start..<min(start + 8, count) {
          unsafe buffer[index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * (index - start)))
        }
      }
      initialized = count
    }
  }

  /// A block that carries its index and a generation above zero all through.
  public static func block(index: UInt64, generation: UInt64) -> [UInt8] {
    precondition(generation > 0)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(blockLength)
    for _ in 0..<blockLength / 16 {
      for word in [index, generation] {
        for shift in stride(from: 0, to: 64, by: 8) {
          bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
        }
      }
    }
    return bytes
  }

  /// The generation that a block of this index carries; 0 where all is zero; nil where it is none
  /// of ours, or torn.
  public static func generation(of bytes: [UInt8], index: UInt64) -> UInt64? {
    guard bytes.count == blockLength else { return nil }
    if bytes.allSatisfy({ $0 == 0 }) { return 0 }
    var generation: UInt64 = 0
    for shift in 0..<8 { generation |= UInt64(bytes[8 + shift]) << UInt64(8 * shift) }
    guard generation > 0, bytes == block(index: index, generation: generation) else { return nil }
    return generation
  }
}

extension StampedBytes {
  public static let sectorLength = 512

  /// Sectors from `first` on, each carrying the volume, its number and the version all through.
  public static func sectors(
    _ first: UInt64, count: Int, volume: UInt64, version: UInt64
  ) -> [UInt8] {
    precondition(version > 0)
    return unsafe [UInt8](unsafeUninitializedCapacity: count * sectorLength) { buffer, length in
      for sector in 0..<count {
        let name = volume << 48 | (first + UInt64(sector))
        for at in stride(from: sector * sectorLength, to: (sector + 1) * sectorLength, by: 16) {
          unsafe UnsafeMutableRawBufferPointer(buffer).storeBytes(
            of: name.littleEndian, toByteOffset: at, as: UInt64.self)
          unsafe UnsafeMutableRawBufferPointer(buffer).storeBytes(
            of: version.littleEndian, toByteOffset: at + 8, as: UInt64.self)
        }
      }
      length = count * sectorLength
    }
  }

  /// The version that a sector's bytes carry; 0 where all are zero; nil where they are torn, or
  /// belong to another sector or volume.
  public static func version(
    of bytes: ArraySlice<UInt8>, sector: UInt64, volume: UInt64
  ) -> UInt64? {
    guard bytes.count == sectorLength else { return nil }
    return unsafe bytes.withUnsafeBytes { raw in
      let version = unsafe raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self).littleEndian
      let name: UInt64 = version == 0 ? 0 : volume << 48 | sector
      for at in stride(from: 0, to: sectorLength, by: 16) {
        let found = unsafe raw.loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian
        let word = unsafe raw.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self).littleEndian
        if found != name || word != version { return nil }
      }
      return version
    }
  }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
