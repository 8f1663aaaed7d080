public import StorageUnits

/// The beginning of a stream: which snapshot it holds, and upon what.
public struct StreamHeader: Hashable, Sendable {
  /// The pool and volume that the snapshot was sent from.
  public var pool: StorageUUID
  public var volume: StorageUUID
  /// What identifies the snapshot in every pool that has it; not zero.
  public var snapshot: StorageUUID
  /// What identifies the snapshot that the receiver must have; nil: the stream holds everything.
  public var base: StorageUUID?
  /// The volume's size, a multiple of the logical block size, not zero.
  public var sizeBytes: UInt64
  /// 512 or 4096.
  public var logicalBlockBytes: UInt32
  /// When the snapshot was made: seconds since 1970.
  public var createdAt: UInt64
  /// About how much data follows, for showing progress only; 0: not known.
  public var expectedBytes: UInt64
  /// Names of 1 to 127 bytes, for people, and for what is to be made; that of the base is empty if
  /// there is none.
  public var poolName: String
  public var volumeName: String
  public var snapshotName: String
  public var baseName: String

  public init(
    pool: StorageUUID, volume: StorageUUID, snapshot: StorageUUID, base: StorageUUID?,
    sizeBytes: UInt64, logicalBlockBytes: UInt32, createdAt: UInt64, expectedBytes: UInt64,
    poolName: String, volumeName: String, snapshotName: String, baseName: String
  ) {
    self.pool = pool
    self.volume = volume
    self.snapshot = snapshot
    self.base = base
    self.sizeBytes = sizeBytes
    self.logicalBlockBytes = logicalBlockBytes
    self.createdAt = createdAt
    self.expectedBytes = expectedBytes
    self.poolName = poolName
    self.volumeName = volumeName
    self.snapshotName = snapshotName
    self.baseName = baseName
  }
}

/// Byte offsets in the header.
private enum At {
  static let magic = 0
  static let version = 8
  static let checksum = 12
  static let mustRefuse = 16
  static let mayIgnore = 24
  static let pool = 32
  static let volume = 48
  static let snapshot = 64
  static let base = 80
  static let sizeBytes = 96
  static let logicalBlockBytes = 104
  static let createdAt = 112
  static let expectedBytes = 120
  static let nameLengths = 128
  static let names = 144
  static let nameCapacity = 128
  static let reservedParts = [9..<12, 108..<112, 132..<144, 656..<StreamFormat.headerBytes]
}

extension StreamHeader {
  private static let magic = Array("LAMINAST".utf8)

  /// Refuses what no sender writes; called before writing and after reading.
  func validate() throws(StreamError) {
    func require(_ condition: Bool, _ field: String) throws(StreamError) {
      guard condition else { throw .badField(field, at: 0) }
    }
    try require(snapshot != .zero, "snapshot")
    try require(base != .zero && base != snapshot, "base")
    try require(logicalBlockBytes == 512 || logicalBlockBytes == 4096, "logicalBlockBytes")
    try require(
      sizeBytes > 0 && sizeBytes <= StreamFormat.maximumVolumeBytes
        && sizeBytes % UInt64(logicalBlockBytes) == 0, "sizeBytes")
    for (name, field) in [
      (poolName, "poolName"), (volumeName, "volumeName"), (snapshotName, "snapshotName"),
    ] {
      let count = name.utf8.count
      try require(count >= 1 && count <= StreamFormat.maximumNameBytes, field)
    }
    try require(
      baseName.utf8.count <= StreamFormat.maximumNameBytes && baseName.isEmpty == (base == nil),
      "baseName")
  }

  /// The header's bytes. Its fields must be such as a sender has them.
  public func encoded() -> [UInt8] {
    do { try validate() } catch { preconditionFailure("a header that no reader accepts") }
    var bytes = ByteFields(count: StreamFormat.headerBytes)
    bytes.set(Self.magic, At.magic)
    bytes.set(StreamFormat.version, At.version)
    bytes.set(pool, At.pool)
    bytes.set(volume, At.volume)
    bytes.set(snapshot, At.snapshot)
    bytes.set(base ?? .zero, At.base)
    bytes.set(sizeBytes, At.sizeBytes)
    bytes.set(logicalBlockBytes, At.logicalBlockBytes)
    bytes.set(createdAt, At.createdAt)
    bytes.set(expectedBytes, At.expectedBytes)
    for (index, name) in [poolName, volumeName, snapshotName, baseName].enumerated() {
      bytes.set(UInt8(name.utf8.count), At.nameLengths + index)
      bytes.set(Array(name.utf8), At.names + index * At.nameCapacity)
    }
    bytes.set(FrameChecksum.of(bytes.bytes[...], fieldAt: At.checksum), At.checksum)
    return bytes.bytes
  }

  /// Reads the header from exactly `headerBytes` bytes.
  init(decoding slice: ArraySlice<UInt8>) throws(StreamError) {
    precondition(slice.count == StreamFormat.headerBytes)
    let bytes = ByteFields(slice)
    guard bytes.bytes.prefix(8).elementsEqual(Self.magic) else { throw .notAStream }
    let version: UInt8 = bytes.get(At.version)
    guard version == StreamFormat.version else { throw .unknownVersion(version) }
    let checksum: UInt32 = bytes.get(At.checksum)
    guard checksum == FrameChecksum.of(bytes.bytes[...], fieldAt: At.checksum) else {
      throw .badChecksum(at: 0)
    }
    let features: UInt64 = bytes.get(At.mustRefuse)
    guard features == 0 else { throw .unknownFeatures(features) }
    for part in At.reservedParts where !bytes.isZero(part) { throw .badField("reserved", at: 0) }
    var names: [String] = []
    for index in 0..<4 {
      let length: UInt8 = bytes.get(At.nameLengths + index)
      let start = At.names + index * At.nameCapacity
      guard Int(length) <= StreamFormat.maximumNameBytes,
        bytes.isZero(start + Int(length)..<start + At.nameCapacity),
        let name = String(validating: bytes.bytes[start..<start + Int(length)], as: UTF8.self)
      else { throw .badField("names", at: 0) }
      names.append(name)
    }
    let base = bytes.uuid(At.base)
    self.init(
      pool: bytes.uuid(At.pool), volume: bytes.uuid(At.volume),
      snapshot: bytes.uuid(At.snapshot), base: base == .zero ? nil : base,
      sizeBytes: bytes.get(At.sizeBytes), logicalBlockBytes: bytes.get(At.logicalBlockBytes),
      createdAt: bytes.get(At.createdAt), expectedBytes: bytes.get(At.expectedBytes),
      poolName: names[0], volumeName: names[1], snapshotName: names[2], baseName: names[3])
    try validate()
  }
}
