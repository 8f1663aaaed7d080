public import StorageUnits

/// What a node holds.
@frozen public enum NodeType: UInt8, Sendable {
  case map = 1
  case catalogue = 2
  case countPage = 3
  case doomed = 4
  case segmentTable = 5
  case versionTree = 6
  case bookmarks = 7
  case holds = 8
  case owed = 9
}

/// The header that every node starts with, 64 bytes.
@frozen public struct NodeHeader: Hashable, Sendable {
  public var type: NodeType
  /// 0 for a leaf.
  public var level: UInt8
  /// The first half of the pool's UUID.
  public var pool: UInt64
  /// The volume family, 0 for the pool's own tables.
  public var owner: UInt64
  /// The index of the node at its level.
  public var key: UInt64
  /// Where the node itself lies, so that a misdirected write is caught. Zero in the system area.
  public var address: PoolAddress
  /// The sequence of the checkpoint that wrote it.
  public var checkpoint: UInt64
  public var birth: ShareEpoch
  /// Entries in use, for people; readers do not rely on it.
  public var entries: UInt16

  public init(
    type: NodeType, level: UInt8, pool: UInt64, owner: UInt64, key: UInt64, address: PoolAddress,
    checkpoint: UInt64, birth: ShareEpoch, entries: UInt16 = 0
  ) {
    self.type = type
    self.level = level
    self.pool = pool
    self.owner = owner
    self.key = key
    self.address = address
    self.checkpoint = checkpoint
    self.birth = birth
    self.entries = entries
  }
}

/// A node's 4096 bytes, in memory as on disk: little-endian fields at named offsets.
///
/// A borrowed view: whoever made it keeps the memory alive and is the only one who uses it. The
/// accessors check indices; that is why the type may call itself safe.
@safe @frozen public struct NodeImage {
  @usableFromInline let base: UnsafeMutableRawPointer

  /// Views 4096 bytes at `base`, which must be 8-byte aligned.
  @inlinable public init(viewing base: UnsafeMutableRawPointer) { unsafe self.base = base }

  public static let magic: UInt32 = 0x4E4D_414C  // "LAMN"

  // MARK: Fields

  @inlinable public func load8(_ at: Int) -> UInt8 {
    precondition(at >= 0 && at < 4096)
    return unsafe base.load(fromByteOffset: at, as: UInt8.self)
  }
  @inlinable public func load16(_ at: Int) -> UInt16 {
    precondition(at >= 0 && at <= 4094)
    return UInt16(littleEndian: unsafe base.loadUnaligned(fromByteOffset: at, as: UInt16.self))
  }
  @inlinable public func load32(_ at: Int) -> UInt32 {
    precondition(at >= 0 && at <= 4092)
    return UInt32(littleEndian: unsafe base.loadUnaligned(fromByteOffset: at, as: UInt32.self))
  }
  @inlinable public func load64(_ at: Int) -> UInt64 {
    precondition(at >= 0 && at <= 4088)
    return UInt64(littleEndian: unsafe base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }
  @inlinable public func store8(_ value: UInt8, _ at: Int) {
    precondition(at >= 0 && at < 4096)
    unsafe base.storeBytes(of: value, toByteOffset: at, as: UInt8.self)
  }
  @inlinable public func store16(_ value: UInt16, _ at: Int) {
    precondition(at >= 0 && at <= 4094)
    unsafe base.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt16.self)
  }
  @inlinable public func store32(_ value: UInt32, _ at: Int) {
    precondition(at >= 0 && at <= 4092)
    unsafe base.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt32.self)
  }
  @inlinable public func store64(_ value: UInt64, _ at: Int) {
    precondition(at >= 0 && at <= 4088)
    unsafe base.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt64.self)
  }

  // MARK: Map leaves

  /// The layer stored at byte `at`: address 5 bytes, mask 2, flags 1, birth 4.
  @inlinable func layer(at: Int) -> Layer {
    let word = load64(at)
    return Layer(
      address: PoolAddress(block: word & 0xFF_FFFF_FFFF),
      mask: BlockMask(bits: UInt16(truncatingIfNeeded: word >> 40)),
      flags: UInt8(truncatingIfNeeded: word >> 56), birth: ShareEpoch(load32(at + 8)))
  }
  @inlinable func setLayer(_ layer: Layer, at: Int) {
    store64(
      layer.address.block | UInt64(layer.mask.bits) << 40 | UInt64(layer.flags) << 56, at)
    store32(layer.birth.number, at + 8)
  }

  /// Map entry `index` (0-167) of a leaf.
  @inlinable public func entry(_ index: Int) -> MapEntry {
    precondition(index >= 0 && index < FormatConstants.entriesPerLeaf)
    let at = FormatConstants.nodeHeaderBytes + index * FormatConstants.mapEntryBytes
    return MapEntry(upper: layer(at: at), lower: layer(at: at + FormatConstants.layerBytes))
  }
  @inlinable public func setEntry(_ entry: MapEntry, _ index: Int) {
    precondition(index >= 0 && index < FormatConstants.entriesPerLeaf)
    let at = FormatConstants.nodeHeaderBytes + index * FormatConstants.mapEntryBytes
    setLayer(entry.upper, at: at)
    setLayer(entry.lower, at: at + FormatConstants.layerBytes)
  }

  // MARK: Inner nodes

  /// Pointer `index` (0-251): address 5 bytes, flags 1, reserved 2, checksum 4, birth 4.
  @inlinable public func pointer(_ index: Int) -> NodePointer {
    precondition(index >= 0 && index < FormatConstants.pointersPerNode)
    let at = FormatConstants.nodeHeaderBytes + index * FormatConstants.pointerBytes
    let word = load64(at)
    return NodePointer(
      address: PoolAddress(block: word & 0xFF_FFFF_FFFF),
      flags: UInt8(truncatingIfNeeded: word >> 40), checksum: load32(at + 8),
      birth: ShareEpoch(load32(at + 12)))
  }
  @inlinable public func setPointer(_ pointer: NodePointer, _ index: Int) {
    precondition(index >= 0 && index < FormatConstants.pointersPerNode)
    let at = FormatConstants.nodeHeaderBytes + index * FormatConstants.pointerBytes
    store64(pointer.address.block | UInt64(pointer.flags) << 40, at)
    store32(pointer.checksum, at + 8)
    store32(pointer.birth.number, at + 12)
  }

  // MARK: Count pages

  /// Count `index` (0-1023) of a count page, 24 bits.
  @inlinable public func count(_ index: Int) -> UInt32 {
    precondition(index >= 0 && index < FormatConstants.countsPerPage)
    let at = FormatConstants.nodeHeaderBytes + index * 3
    return UInt32(load16(at)) | UInt32(load8(at + 2)) << 16
  }
  @inlinable public func setCount(_ count: UInt32, _ index: Int) {
    precondition(index >= 0 && index < FormatConstants.countsPerPage)
    precondition(count <= FormatConstants.stickyCount)
    let at = FormatConstants.nodeHeaderBytes + index * 3
    store16(UInt16(truncatingIfNeeded: count), at)
    store8(UInt8(truncatingIfNeeded: count >> 16), at + 2)
  }

  // MARK: The whole node

  /// Sets all bytes to zero.
  public func clear() { unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: 4096) }

  /// Copies all bytes of another node.
  public func copy(from other: NodeImage) {
    unsafe base.copyMemory(from: other.base, byteCount: 4096)
  }

  /// Writes the header and the checksum; the rest must be complete. Returns the checksum.
  @discardableResult public func seal(_ header: NodeHeader) -> UInt32 {
    store32(Self.magic, 0)
    store8(header.type.rawValue, 4)
    store8(FormatConstants.version, 5)
    store8(header.level, 6)
    store8(0, 7)
    store64(header.pool, 8)
    store64(header.owner, 16)
    store64(header.key, 24)
    store64(header.address.block, 32)
    store64(header.checkpoint, 40)
    store32(header.birth.number, 48)
    store16(header.entries, 52)
    store16(0, 54)
    store32(0, 56)
    store32(0, 60)
    let checksum = computedChecksum(withoutFieldAt: 60)
    store32(checksum, 60)
    return checksum
  }

  /// Reads and verifies the header and the checksum of a node that was read from a device.
  ///
  /// The checksum covers all 4096 bytes with its own four as zero. Changes nothing. Whether it is
  /// the node that was asked for (pool, owner, key, address) is for the caller to compare, and
  /// `validateContents` looks at the entries.
  public func open() throws(FormatError) -> NodeHeader {
    guard load32(0) == Self.magic else { throw .badMagic(.node) }
    guard load8(5) == FormatConstants.version else { throw .unknownVersion(.node) }
    guard storedChecksum == computedChecksum(withoutFieldAt: 60) else {
      throw .badChecksum(.node)
    }
    guard let type = NodeType(rawValue: load8(4)) else { throw .unknownKind(.node) }
    guard load8(7) == 0, load16(54) == 0, load32(56) == 0 else { throw .reservedNotZero(.node) }
    let level = load8(6)
    guard level <= (type == .countPage ? 0 : FormatConstants.maximumLevel) else {
      throw .badField(.node, "level")
    }
    guard load64(32) < 1 << UInt64(StorageSizes.poolAddressBits) else {
      throw .badField(.node, "address")
    }
    return NodeHeader(
      type: type, level: level, pool: load64(8), owner: load64(16), key: load64(24),
      address: PoolAddress(block: load64(32)), checkpoint: load64(40),
      birth: ShareEpoch(load32(48)), entries: load16(52))
  }

  /// The checksum as stored in the header.
  public var storedChecksum: UInt32 { load32(60) }
}
