import Management
import StorageUnits

/// One volume or snapshot, and what holds its space.
struct VolumeShowResult: CommandResult {
  struct Output: Encodable, Sendable {
    private enum CodingKeys: String, CodingKey { case exclusiveBytes, sharedBytes, sharedWith }
    var volume: VolumeDescription
    var space: SpaceEstimate

    func encode(to encoder: any Encoder) throws {
      try volume.encode(to: encoder)
      var fields = encoder.container(keyedBy: CodingKeys.self)
      try fields.encode(space.freedDataBytes, forKey: .exclusiveBytes)
      try fields.encode(space.sharedBytes, forKey: .sharedBytes)
      try fields.encode(space.sharedWith, forKey: .sharedWith)
    }
  }

  var volume: VolumeDescription
  var space: SpaceEstimate

  var output: Output { Output(volume: volume, space: space) }
  var nextCommand: String? { nil }
  var text: String? {
    VolumeResult(output: volume, nextCommand: nil).fields(
      behindAllocated: [
        ("exclusive", SizeText.human(space.freedDataBytes)),
        ("shared", SizeText.human(space.sharedBytes)),
      ]) + "\n\n" + space.sentence
  }
}

extension SpaceEstimate {
  /// What pins the space of the one volume or snapshot that was asked for.
  var sentence: String {
    let freed = SizeText.human(freedBytes)
    if referencedBytes == 0 { return "It holds no data: nothing was written to it." }
    if sharedBytes == 0 {
      return "All of its data is its own: deleting it frees \(freed)."
    }
    let others = Self.list(sharedWith)
    let shared = "\(SizeText.human(sharedBytes)) of its data stays with \(others)"
    if freedDataBytes == 0 { return "Deleting it frees no data: \(shared)." }
    return "Deleting it frees \(freed); \(shared)."
  }

  /// "a, b, c and 5 others".
  static func list(_ names: [String]) -> String {
    switch names.count {
    case 0: "what is being deleted"
    case 1: names[0]
    case 2...4: names.dropLast().joined(separator: ", ") + " and " + (names.last ?? "")
    default: names.prefix(3).joined(separator: ", ") + " and \(names.count - 3) others"
    }
  }
}

/// What a deletion would free.
struct SpaceEstimateResult: CommandResult {
  struct Output: Encodable, Sendable {
    var wouldDelete: [String]
    var freedBytes: UInt64
    var freedDataBytes: UInt64
    var sharedBytes: UInt64
    var sharedWith: [String]
  }

  var pool: PoolName
  var space: SpaceEstimate

  var output: Output {
    Output(
      wouldDelete: space.names.map { "\(pool)/\($0)" }, freedBytes: space.freedBytes,
      freedDataBytes: space.freedDataBytes, sharedBytes: space.sharedBytes,
      sharedWith: space.sharedWith)
  }
  var nextCommand: String? { nil }
  var text: String? {
    let what = output.wouldDelete.joined(separator: ", ")
    let freed = SizeText.human(space.freedBytes)
    let together = space.names.count > 1 ? " together" : ""
    let start = "deleting \(what)\(together) would free \(freed); nothing was changed"
    guard space.sharedBytes > 0, !space.sharedWith.isEmpty else { return start }
    return start + "\nwhat else they name stays with \(SpaceEstimate.list(space.sharedWith))"
  }
}

/// Where the space of a pool is.
struct SpaceUsageResult: CommandResult {
  struct Output: Encodable, Sendable {
    private enum CodingKeys: String, CodingKey { case pool }
    var pool: String
    var usage: SpaceUsage

    func encode(to encoder: any Encoder) throws {
      try usage.encode(to: encoder)
      var fields = encoder.container(keyedBy: CodingKeys.self)
      try fields.encode(pool, forKey: .pool)
    }
  }

  var output: Output
  var nextCommand: String? { nil }

  var text: String? {
    let usage = output.usage
    var parts = [
      ("held by one alone", SizeText.human(usage.exclusiveBytes)),
      ("shared", SizeText.human(usage.sharedBytes)),
      ("taken ahead", SizeText.human(usage.aheadBytes)),
      ("on its way back", SizeText.human(usage.reclaimableBytes)),
      ("tables", SizeText.human(usage.metadataBytes)),
      ("used", SizeText.human(usage.usedBytes)),
    ]
    if usage.deletedMaps > 0 {
      parts.append(("deletions under way", "\(usage.deletedMaps); what they hold is in 'shared'"))
    }
    if usage.owedBytes > 0 { parts.append(("owed", VolumeResult.owedText(usage.owedBytes))) }
    guard !usage.holders.isEmpty else { return TextTable.fields(parts) }
    var table = TextTable([
      ("volume", .left), ("size", .right), ("referenced", .right), ("exclusive", .right),
      ("shared", .right),
    ])
    for holder in usage.holders {
      table.add([
        "\(output.pool)/\(holder.name)" + (holder.inTrash == true ? " (in the trash)" : "")
          + (holder.owedBytes.map { " (owes \(SizeText.human($0)))" } ?? ""),
        SizeText.human(holder.sizeBytes),
        SizeText.human(holder.referencedBytes), SizeText.human(holder.exclusiveBytes),
        SizeText.human(holder.sharedBytes),
      ])
    }
    return table.text + "\n\n" + TextTable.fields(parts)
  }
}
