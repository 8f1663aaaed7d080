public import StorageUnits

/// What is asked about changes; the body of a request for them. Its coding keys are the public
/// contract (`Docs/CommandLine.md`).
public struct ChangeSpecification: Codable, Hashable, Sendable {
  public var target: ContentName
  /// Nil: everything that the target stores is reported.
  public var base: BaseName?
  /// From where on: the `nextOffsetBytes` of the answer before.
  public var offsetBytes: UInt64
  /// About so many ranges in one answer, 1 to 65536.
  public var rangesAtMost: Int

  /// What only the bytes can tell is looked at too: a block that was written anew with the bytes
  /// that it had is left out. Needs a base whose content is still there.
  public var exact: Bool

  public static let usualRanges = 8192

  public init(
    target: ContentName, base: BaseName?, offsetBytes: UInt64 = 0,
    rangesAtMost: Int = ChangeSpecification.usualRanges, exact: Bool = false
  ) {
    self.exact = exact
    self.target = target
    self.base = base
    self.offsetBytes = offsetBytes
    self.rangesAtMost = rangesAtMost
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case target, base, offsetBytes, rangesAtMost, exact
  }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      target: try fields.decode(ContentName.self, forKey: .target),
      base: try fields.decodeIfPresent(BaseName.self, forKey: .base),
      offsetBytes: try fields.decodeIfPresent(UInt64.self, forKey: .offsetBytes) ?? 0,
      rangesAtMost: try fields.decodeIfPresent(Int.self, forKey: .rangesAtMost)
        ?? Self.usualRanges,
      exact: try fields.decodeIfPresent(Bool.self, forKey: .exact) ?? false)
    guard 1...65536 ~= rangesAtMost else {
      throw ManagementError(
        .invalidArgument, "an answer has 1 to 65536 ranges, not \(rangesAtMost)",
        objects: [ManagementObject(.option, "rangesAtMost")])
    }
  }
}

/// A range of bytes that changed.
public struct ChangeRange: Codable, Hashable, Sendable {
  public enum Kind: String, Codable, Hashable, Sendable {
    case data
    /// Nothing is stored there: it reads as zeros.
    case hole
  }

  public var offsetBytes: UInt64
  public var lengthBytes: UInt64
  /// What is there now.
  public var kind: Kind

  public init(offsetBytes: UInt64, lengthBytes: UInt64, kind: Kind) {
    self.offsetBytes = offsetBytes
    self.lengthBytes = lengthBytes
    self.kind = kind
  }

  var endBytes: UInt64 { offsetBytes + lengthBytes }
}

/// What changed, or a piece of it. Its coding keys are the public contract
/// (`Docs/CommandLine.md`).
public struct ChangeList: Codable, Hashable, Sendable {
  /// The name of the pool.
  public var pool: String
  public var target: String
  public var targetUUID: StorageUUID
  /// Absent: the ranges are everything that the target stores.
  public var base: String?
  public var baseUUID: StorageUUID?
  /// The size of the target. Beyond the smaller of both sizes a range is what the target stores.
  public var sizeBytes: UInt64
  public var baseSizeBytes: UInt64?
  /// Sorted, and neighbours of one kind are one range.
  public var ranges: [ChangeRange]
  /// Table nodes that were looked at: the cost, which follows the change and not the size.
  public var visitedNodes: Int
  /// Where the next request goes on; absent at the end.
  public var nextOffsetBytes: UInt64?

  public init(
    pool: String, target: String, targetUUID: StorageUUID, base: String?, baseUUID: StorageUUID?,
    sizeBytes: UInt64, baseSizeBytes: UInt64?, ranges: [ChangeRange], visitedNodes: Int,
    nextOffsetBytes: UInt64?
  ) {
    self.pool = pool
    self.target = target
    self.targetUUID = targetUUID
    self.base = base
    self.baseUUID = baseUUID
    self.sizeBytes = sizeBytes
    self.baseSizeBytes = baseSizeBytes
    self.ranges = ranges
    self.visitedNodes = visitedNodes
    self.nextOffsetBytes = nextOffsetBytes
  }
}

extension PoolService {
  /// All pieces of what changed, joined. Throws as `changes`, and `volumeNotFound` if target or
  /// base was deleted and made anew between two pieces. `progress` is told how far it is, in bytes
  /// of the target's address space.
  public func allChanges(
    _ specification: ChangeSpecification,
    progress: (_ done: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) async throws(ManagementError) -> ChangeList {
    var specification = specification
    var all = try await changes(specification)
    while let next = all.nextOffsetBytes {
      progress(next, all.sizeBytes)
      specification.offsetBytes = next
      let piece = try await changes(specification)
      guard piece.targetUUID == all.targetUUID, piece.baseUUID == all.baseUUID else {
        throw ManagementError(
          .volumeNotFound, "'\(all.target)' or its base was replaced while it was looked at",
          correction: "Ask again.", objects: [ManagementObject(.volume, all.target)])
      }
      all.append(piece)
    }
    return all
  }
}

extension ChangeList {
  /// Joins the next piece. A range that the end of this one cut is one again.
  mutating func append(_ piece: ChangeList) {
    var more = piece.ranges[...]
    if let last = ranges.last, let first = more.first, last.endBytes == first.offsetBytes,
      last.kind == first.kind
    {
      ranges[ranges.count - 1].lengthBytes += first.lengthBytes
      more.removeFirst()
    }
    ranges.append(contentsOf: more)
    visitedNodes += piece.visitedNodes
    sizeBytes = piece.sizeBytes
    nextOffsetBytes = piece.nextOffsetBytes
  }

  /// The bytes of all ranges of one kind.
  public func bytes(of kind: ChangeRange.Kind) -> UInt64 {
    ranges.reduce(0) { $1.kind == kind ? $0 + $1.lengthBytes : $0 }
  }
}
