import Management
import StorageUnits

/// A pool's status as a command shows it.
struct PoolStatusResult: CommandResult {
  var output: PoolStatus
  var nextCommand: String?

  var text: String? {
    let pool = output
    var fields = [
      ("pool", pool.name), ("uuid", pool.uuid.description), ("state", stateText),
      ("size", SizeText.human(pool.sizeBytes)),
      (
        "used",
        "\(SizeText.human(pool.usedBytes)), of it \(SizeText.human(pool.metadataBytes)) for tables"
      ),
      ("free", SizeText.human(pool.freeBytes)),
    ]
    if pool.reclaimableBytes > 0 {
      fields.append(
        ("reclaimable", "\(SizeText.human(pool.reclaimableBytes)) with the next checkpoint"))
    }
    if pool.owedBytes > 0 {
      fields.append(("owed", VolumeResult.owedText(pool.owedBytes)))
    }
    if pool.trashExpirySeconds > 0 || pool.trashCount > 0 {
      let expiry = DurationText.text(seconds: pool.trashExpirySeconds)
      fields.append(
        (
          "trash",
          "\(pool.trashCount) items, \(SizeText.human(pool.trashBytes)); kept "
            + (pool.trashExpirySeconds == 0 ? "no longer" : "for \(expiry)")
        ))
    }
    fields += [
      ("volumes", "\(pool.volumeCount)"), ("segment", SizeText.human(pool.segmentSizeBytes)),
      ("allocation run", SizeText.human(pool.allocationRunBytes)),
      ("cache", pool.cacheMode.rawValue), ("checkpoint", "\(pool.checkpointSequence)"),
    ]
    return TextTable.fields(fields) + "\n\n" + devices.text
  }

  private var stateText: String {
    let name =
      switch output.state {
      case .online: "online"
      case .readOnly: "read-only"
      }
    return output.stateReason.map { "\(name): \($0)" } ?? name
  }

  private var devices: TextTable {
    var table = TextTable([
      ("device", .right), ("path", .left), ("size", .right), ("used", .right),
      ("data reads", .right), ("data writes", .right), ("node reads", .right),
      ("node writes", .right), ("flushes", .right),
    ])
    for device in output.devices {
      table.add([
        "\(device.index)", device.path, SizeText.human(device.sizeBytes),
        SizeText.human(device.usedBytes), "\(device.dataReads)", "\(device.dataWrites)",
        "\(device.nodeReads)", "\(device.nodeWrites)", "\(device.flushes)",
      ])
    }
    return table
  }
}
