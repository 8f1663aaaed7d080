import Management
import StorageUnits

/// One volume as a command shows it.
struct VolumeResult: CommandResult {
  var output: VolumeDescription
  var nextCommand: String?

  var text: String? { fields() }

  func fields(behindAllocated more: [(name: String, value: String)] = []) -> String {
    let volume = output
    let start = [
      (volume.snapshotOf == nil ? "volume" : "snapshot", "\(volume.pool)/\(volume.name)"),
      ("uuid", volume.uuid.description),
      ("id", "\(volume.id)"),
      ("size", "\(SizeText.human(volume.sizeBytes)) (\(volume.sizeBytes) bytes)"),
      ("allocated", SizeText.human(volume.allocatedBytes)),
    ]
    let end = [
      ("mapped", SizeText.human(volume.mappedBytes)),
      ("logical block", SizeText.human(UInt64(volume.logicalBlockBytes))),
      ("read-only", volume.readOnly ? "yes" : "no"),
      ("when full", VolumeResult.policyText(volume.fullPolicy)),
      ("created", volume.createdAt.description),
    ]
    let owed = volume.owedBytes.map { [("owed", VolumeResult.owedText($0))] } ?? []
    let state = volume.receiving == true ? [("state", "being received, not served")] : []
    return TextTable.fields(start + more + owed + end + state)
  }

  static func owedText(_ bytes: UInt64) -> String {
    "\(SizeText.human(bytes)) of discards, to be done when the tables have space"
  }

  private static func policyText(_ policy: FullPolicy) -> String {
    switch policy {
    case .wait(let seconds): "writes wait for space, at most \(seconds) s"
    case .error: "writes fail"
    }
  }
}

/// The volumes of a pool as a command shows them.
struct VolumeListResult: CommandResult {
  var output: VolumeList
  var nextCommand: String?

  var text: String? {
    guard !output.volumes.isEmpty else { return "no volumes" }
    var table = TextTable([
      ("volume", .left), ("size", .right), ("allocated", .right), ("mapped", .right),
      ("block", .right), ("when full", .left), ("created", .left),
    ])
    for volume in output.volumes {
      table.add([
        "\(volume.pool)/\(volume.name)\(volume.receiving == true ? " (being received)" : "")",
        SizeText.human(volume.sizeBytes),
        SizeText.human(volume.allocatedBytes), SizeText.human(volume.mappedBytes),
        "\(volume.logicalBlockBytes)", volume.fullPolicy.description,
        volume.createdAt.description,
      ])
    }
    return table.text
  }
}

/// That a volume is gone.
struct VolumeDeletedResult: CommandResult {
  struct Output: Encodable, Sendable {
    var deleted: String
    var trashed: Bool
  }

  var volume: VolumeReference
  var isTrashed = false
  var output: Output { Output(deleted: volume.description, trashed: isTrashed) }
  var text: String? {
    isTrashed
      ? "deleted \(volume); it is in the trash: lamina trash restore \(volume)"
      : "deleted \(volume); its space comes back in the background"
  }
  var nextCommand: String? { nil }
}
