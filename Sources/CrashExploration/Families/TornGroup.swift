import DiskFormat
import DiskSimulation
import StorageUnits

extension ExplorationFamily {
  /// The records of two snapshots that are made together lie in two journal blocks, of which the
  /// second is lost or torn: then neither snapshot is there.
  static let tornGroup: ExplorationFamily = {
    let wide = VolumeID(3)
    // So many records of a map that the first snapshot's record is the last to fit into the block.
    let filling = WriteZeroesOperation(wide, 0..<75 * 128, noHole: true)
    let group = SnapshotOperation([first, second])
    let family = ExplorationFamily(
      "torn-group", "the records of a group are split by a torn block",
      preparation: twoVolumes + [CreateVolumeOperation(sizeBytes: 12 << 20)],
      places: [
        [HistoryStep(filling)],
        HistoryStep.choices([WriteOperation(first, 0..<8), group], [.settled]),
        HistoryStep.choices([group, WriteOperation(first, 8..<16)])
          + [HistoryStep(group, .after(completions: 1))],
        HistoryStep.choices([FlushOperation(first), WriteOperation(second, 0..<8, fua: true)]),
      ])
    return splittingGroups(family)
  }()

  /// The same for the snapshot of what was received and the end of the receive.
  static let tornReceive: ExplorationFamily = {
    let wide = third
    let filling = WriteZeroesOperation(wide, 0..<75 * 128, noHole: true)
    let family = ExplorationFamily(
      "torn-receive", "the records that end a receive are split by a torn block",
      preparation: snapshotted + [
        CreateVolumeOperation(sizeBytes: 12 << 20), BeginReceiveOperation(first, upon: snapshot),
        WriteOperation(first, 0..<8),
      ],
      places: [
        [HistoryStep(filling)], [HistoryStep(EndReceiveOperation(first))],
        HistoryStep.choices([FlushOperation(second), WriteOperation(second, 0..<8, fua: true)]),
      ])
    return splittingGroups(family)
  }()

  /// With room for so many records that a group can begin at the end of a journal block.
  private static func splittingGroups(_ family: ExplorationFamily) -> ExplorationFamily {
    var family = family
    family.media.journalBlocks = 40
    family.media.recordBytes = 30 << 10
    family.settings.recordBytes = 30 << 10
    family.adjust = { $0.recoveryCrashShare *= 32 }
    family.situations = [
      Situation("a group lies in two journal blocks in flight") { $0.isGroupSplitInFlight }
    ]
    return family
  }
}

extension HistoryMoment {
  /// A write in flight holds a journal block whose last record says that its group goes on.
  fileprivate var isGroupSplitInFlight: Bool {
    inFlightJournalBlocks.contains { block in
      var at = 96
      let end = 96 + Int(block[74]) + Int(block[75]) << 8
      var goesOn = false
      while at + 4 <= end {
        goesOn = block[at + 1] & 1 == 1
        at += 4 + Int(block[at + 2]) + Int(block[at + 3]) << 8
      }
      return goesOn
    }
  }

  /// The blocks of the journal in flight, as they are written: those that begin with its magic.
  private var inFlightJournalBlocks: [[UInt8]] {
    server.disks.devices.flatMap(\.writesInFlight).flatMap(\.pages).compactMap { page in
      guard let page, !page.isHostData else { return nil }
      let bytes = page.copyOfBytes
      return bytes.starts(with: Array("LAMJ".utf8)) ? bytes : nil
    }
  }
}
