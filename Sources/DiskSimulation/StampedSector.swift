public import StorageUnits

/// The contents of a 512-byte sector that tell whose they are: volume, sector, version, and words
/// derived from the three that fill the rest and serve as checksum.
///
/// Bytes: "LAMSTAMP", volume 8, sector 8, version 8, then 60 words; little-endian.
public struct StampedSector: Hashable, Sendable {
  public var volume: VolumeID
  /// The byte offset in the volume / 512.
  public var sector: UInt64
  /// From `ReferenceModel`, never 0.
  public var version: UInt64

  public init(volume: VolumeID, sector: UInt64, version: UInt64) {
    self.volume = volume
    self.sector = sector
    self.version = version
  }

  private static let magic: UInt64 = 0x504D_4154_534D_414C

  private func word(_ index: Int) -> UInt64 {
    switch index {
    case 0: Self.magic
    case 1: volume.number
    case 2: sector
    case 3: version
    default:
      SeededRandom.mix(
        volume.number &* 0x9E37_79B9 &+ sector &* 0x85EB_CA6B_0001 &+ version
          &* 0xC2B2_AE35_0000_0001 &+ UInt64(index))
    }
  }

  /// Writes the sector into the first 512 bytes of `buffer`.
  public func write(into buffer: UnsafeMutableRawBufferPointer) {
    for i in 0..<64 {
      unsafe buffer.storeBytes(
        of: word(i).littleEndian, toByteOffset: i * 8, as: UInt64.self)
    }
  }

  /// Whether a sector begins as stamps do.
  static func hasMagic(_ buffer: UnsafeRawBufferPointer) -> Bool {
    UInt64(littleEndian: unsafe buffer.loadUnaligned(as: UInt64.self)) == magic
  }

  /// What 512 bytes are.
  public static func read(_ buffer: UnsafeRawBufferPointer) -> SectorContents {
    func load(_ i: Int) -> UInt64 {
      UInt64(littleEndian: unsafe buffer.loadUnaligned(fromByteOffset: i * 8, as: UInt64.self))
    }
    let first = load(0)
    if first != magic {
      for i in 0..<64 where load(i) != 0 { return .garbage }
      return .zeros
    }
    let stamp = StampedSector(volume: VolumeID(load(1)), sector: load(2), version: load(3))
    for i in 4..<64 where load(i) != stamp.word(i) { return .garbage }
    return .stamped(stamp)
  }
}

/// What was found in a sector.
public enum SectorContents: Hashable, Sendable {
  case zeros
  case stamped(StampedSector)
  /// Neither zeros nor a whole stamp: torn inside the sector, mixed, or foreign bytes.
  case garbage
}
