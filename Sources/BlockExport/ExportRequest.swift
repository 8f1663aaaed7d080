public import StorageUnits

/// What a target knows of a volume that it serves.
public struct ExportDescription: Hashable, Sendable {
  public var volume: VolumeID
  public var name: String
  public var uuid: StorageUUID
  /// Exact, any multiple of the logical block size.
  public var sizeBytes: UInt64
  /// 512 or 4096: requests that are not a multiple of it are refused with `invalidRequest`.
  public var logicalBlockBytes: Int
  public var isReadOnly: Bool

  public init(
    volume: VolumeID, name: String, uuid: StorageUUID, sizeBytes: UInt64, logicalBlockBytes: Int,
    isReadOnly: Bool
  ) {
    self.volume = volume
    self.name = name
    self.uuid = uuid
    self.sizeBytes = sizeBytes
    self.logicalBlockBytes = logicalBlockBytes
    self.isReadOnly = isReadOnly
  }
}

/// One request of a host to a volume, as every target states it.
///
/// A read or write is at most `ExportLimits.windowBytes` long: a target cuts longer ones into
/// windows, each aligned in the volume, with a buffer of its own. Other operations may have any
/// length inside the volume.
@safe @frozen public struct ExportRequest {
  public enum Operation: UInt8, Sendable, CaseIterable {
    /// Fill `buffer` from the volume.
    case read
    /// Store `buffer` in the volume. Answered when it is in the volatile cache's sense done.
    case write
    /// Make every write that completed before this request *arrived* durable, on every connection.
    case flush
    /// Give the range's space back; it reads as zeros afterwards. Parts of a block are left alone.
    case discard
    /// Make the range read as zeros.
    case writeZeroes
    /// Report which parts of the range are allocated, or changed since `base`: see
    /// `BlockStatusExtent`.
    case blockStatus
  }

  /// Options; those that an operation does not know are ignored.
  @frozen public struct Flags: OptionSet, Sendable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Answer only when this request is durable (write, discard, writeZeroes).
    public static let forceUnitAccess = Flags(rawValue: 1)
    /// writeZeroes: hold space for the whole range ("provision").
    public static let noHole = Flags(rawValue: 2)
    /// writeZeroes: fail with `notSupported` at once if it would be slower than clearing the map.
    public static let fastZero = Flags(rawValue: 4)
    /// blockStatus: report one extent only.
    public static let oneExtent = Flags(rawValue: 8)
  }

  public var operation: Operation
  public var flags: Flags
  public var volume: VolumeID
  /// In bytes.
  public var offset: UInt64
  /// In bytes.
  public var length: UInt64
  /// For reads and writes: where the first byte of the range lies. Its address modulo 4096 equals
  /// `offset` modulo 4096, and the whole 4096-byte blocks that the range touches belong to the
  /// buffer (the engine may scribble over the parts outside the range). The target keeps it until
  /// the answer.
  public var buffer: UnsafeMutableRawPointer?
  /// For block status: what changes are counted from; nil: what is allocated is asked for.
  public var base: ExportBase?
  /// Given back in the answer.
  public var token: UInt64

  @inlinable public init(
    _ operation: Operation, flags: Flags = [], volume: VolumeID, offset: UInt64, length: UInt64,
    buffer: UnsafeMutableRawPointer?, base: ExportBase? = nil, token: UInt64
  ) {
    self.operation = operation
    self.flags = flags
    self.volume = volume
    self.offset = offset
    self.length = length
    unsafe self.buffer = buffer
    self.base = base
    self.token = token
  }
}

/// What changes of a volume can be counted from.
@frozen public enum ExportBase: Hashable, Sendable {
  case snapshot(VolumeID)
  /// By its number.
  case bookmark(UInt64)
}

/// A base with the name by which hosts know it.
public struct NamedExportBase: Hashable, Sendable {
  /// `NAME` of a snapshot, `#NAME` of a bookmark of the volume.
  public var name: String
  public var base: ExportBase

  public init(name: String, base: ExportBase) {
    self.name = name
    self.base = base
  }
}

/// The answer to an `ExportRequest`.
@frozen public struct ExportAnswer: Sendable {
  public var token: UInt64
  public var error: ExportError?
  /// For `blockStatus` only: where in the engine's `blockStatusExtents` the answer's extents lie.
  /// Valid until the answers of this turn have been taken.
  public var firstExtent: Int
  public var extentCount: Int
  /// For `read` only, a hint: the whole range is known to be zeros without looking at the buffer
  /// (which holds zeros all the same). A target may then say "hole" in place of the bytes.
  public var readsAsZeros: Bool

  @inlinable public init(
    token: UInt64, error: ExportError?, firstExtent: Int = 0, extentCount: Int = 0,
    readsAsZeros: Bool = false
  ) {
    self.token = token
    self.error = error
    self.firstExtent = firstExtent
    self.extentCount = extentCount
    self.readsAsZeros = readsAsZeros
  }
}

/// A run of a volume in one state.
@frozen public struct BlockStatusExtent: Hashable, Sendable {
  /// In bytes.
  public var length: UInt64
  /// No space is held for it.
  public var isHole: Bool
  /// It reads as zeros.
  public var readsAsZeros: Bool
  /// It changed since the base of the request; the other two are false then.
  public var isChanged: Bool

  @inlinable public init(
    length: UInt64, isHole: Bool, readsAsZeros: Bool, isChanged: Bool = false
  ) {
    self.length = length
    self.isHole = isHole
    self.readsAsZeros = readsAsZeros
    self.isChanged = isChanged
  }

  /// Whether both are in one state.
  @inlinable public func isAlike(_ other: BlockStatusExtent) -> Bool {
    isHole == other.isHole && readsAsZeros == other.readsAsZeros && isChanged == other.isChanged
  }
}

/// Why a request failed; each protocol maps these in one exhaustive `switch`.
@frozen public enum ExportError: UInt8, Error, Hashable, Sendable, CaseIterable {
  /// The pool, or the volume's limit, has no space for it.
  case noSpace
  /// A device failed, or stored bytes are damaged.
  case inputOutput
  /// Beyond the end of the volume, which may have been made smaller while it was in use.
  case outOfRange
  /// Not aligned to the logical block size, or of no meaning.
  case invalidRequest
  /// The volume, or after a failed barrier the pool, is read-only.
  case readOnly
  /// Not possible in the way that was asked (fast zero).
  case notSupported
  /// The volume was deleted while it was in use.
  case volumeGone
  /// The server is stopping.
  case shuttingDown
}

/// Bounds that every target keeps.
public enum ExportLimits {
  /// The longest read or write of one `ExportRequest`, in bytes.
  public static let windowBytes = 1 << 20
  /// The longest read or write that a host may send, in bytes.
  public static let maximumTransferBytes = 64 << 20
}
