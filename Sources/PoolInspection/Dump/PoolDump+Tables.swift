import BlockIO
import DiskFormat
import StorageUnits

// Segment table, counts, catalogue, doomed list and journal.
extension PoolDump {
  func segments() -> DumpValue {
    let lines = inspector.segments.enumerated().map { i, entry -> DumpValue in
      let isNode = entry.segmentClass == .node
      return .fields([
        "segment": .number(i), "class": .text(entry.segmentClass.name),
        "place": entry.place.map(Self.place), "secondPlace": entry.secondPlace.map(Self.place),
        "freeUnits": .number(entry.freeUnits),
        "countPage": entry.countPage.isNone ? nil : .number(entry.countPage.block),
        "currentImage": isNode ? .number(entry.currentImage) : nil,
        "countChecksum": isNode || !entry.countPage.isNone
          ? .hexadecimal(entry.countChecksum) : nil,
      ])
    }
    let keys = inspector.pages.keys.sorted { ($1.level, $0.key) < ($0.level, $1.key) }
    let pages = keys.compactMap { key -> DumpValue? in
      inspector.pages[key].map {
        .fields([
          "level": .number(key.level), "key": .number(key.key), "place": Self.place($0.place),
          "secondPlace": $0.secondPlace.map(Self.place), "checksum": .hexadecimal($0.checksum),
        ])
      }
    }
    return .fields([
      "segmentCount": .number(UInt64(inspector.report.superblock?.segmentCount ?? 0)),
      "segments": .list(lines), "pages": .list(pages), "problems": problems(),
    ])
  }

  /// What was found while the tables were read.
  func problems() -> DumpValue? {
    let report = inspector.report
    let texts = report.findings.map { DumpValue.text($0.message(in: report)) }
    return texts.isEmpty ? nil : .list(texts)
  }

  // MARK: Counts

  func counts(_ segment: SegmentIndex, _ superblock: Superblock) throws(Problem) -> DumpValue {
    guard inspector.segments.indices.contains(Int(segment.index)) else {
      throw .noSuchSegment(segment)
    }
    let entry = inspector.segments[Int(segment.index)]
    let first = UInt64(segment.index) << UInt64(superblock.segmentShift)
    var counts: [DumpValue] = []
    switch entry.segmentClass {
    case .free, .lent: throw .noSuchSegment(segment)
    case .data:
      guard !entry.countPage.isNone else { break }
      let identity = NodeIdentity(
        type: .countPage, level: 0, key: UInt64(segment.index), owner: 0,
        address: entry.countPage, checksum: entry.countChecksum)
      let buffer = inspector.name(
        identity, superblock, at: .segment(segment), volumes: []
      ).buffer
      for i in 0..<FormatConstants.countsPerPage {
        guard let count = buffer?.node().count(i), count != 0 else { continue }
        counts.append(
          .fields(["extent": .number(first / 16 + UInt64(i)), "count": .number(count)]))
      }
    case .node:
      let layout = NodeSegmentLayout(segmentShift: superblock.segmentShift)
      let image = inspector.readCountImage(of: segment, entry, superblock)?.countImage(layout)
      for block in layout.firstUsableBlock..<layout.blocks {
        guard let count = image?.count(ofBlock: block), count != 0 else { continue }
        counts.append(
          .fields(["address": .number(first + UInt64(block)), "count": .number(count)]))
      }
    }
    return .fields([
      "segment": .number(segment.index), "class": .text(entry.segmentClass.name),
      "counts": .list(counts), "problems": problems(),
    ])
  }

  // MARK: Catalogue and doomed list

  func catalogue(_ superblock: Superblock) -> [VolumeRecord] {
    var volumes: [VolumeRecord] = []
    inspector.walk(superblock.catalogue, type: .catalogue, superblock) { _, node in
      for slot in 0..<FormatConstants.volumesPerLeaf {
        if let volume = try? VolumeRecord.decode(from: node, slot: slot) { volumes.append(volume) }
      }
    }
    return volumes
  }

  static func volume(_ volume: VolumeRecord) -> DumpValue {
    let policy =
      switch volume.fullPolicy {
      case .error: "error"
      case .wait(let seconds): "wait:\(seconds)"
      }
    return .fields([
      "id": .number(volume.id.number), "name": .text(volume.name),
      "uuid": .text(volume.uuid.description), "family": .number(volume.family),
      "isReadOnly": .flag(volume.isReadOnly), "isReceiving": .flag(volume.isReceiving),
      "lineage": .text(volume.lineage.description), "versionNode": .number(volume.versionNode),
      "shareEpoch": .number(volume.shareEpoch.number),
      "bookmarkEpoch": .number(volume.bookmarkEpoch.number),
      "sizeBytes": .number(volume.sizeBytes),
      "logicalBlockBytes": .number(volume.logicalBlockBytes),
      "createdAt": .number(volume.createdAt), "root": root(volume.root),
      "allocatedExtents": .number(volume.allocatedExtents),
      "mappedBlocks": .number(volume.mappedBlocks), "fullPolicy": .text(policy),
      "guaranteeBytes": .number(volume.guaranteeBytes), "limitBytes": .number(volume.limitBytes),
      "copies": .number(volume.copies), "holds": .number(volume.holds),
      "keyID": .number(volume.keyID),
    ])
  }

  func holds(_ superblock: Superblock) -> DumpValue {
    var entries: [DumpValue] = []
    inspector.walk(superblock.holds, type: .holds, superblock) { _, node in
      for i in 0..<FormatConstants.holdsPerLeaf {
        guard let entry = try? HoldEntry.decode(from: node, index: i) else { continue }
        entries.append(Self.hold(entry))
      }
    }
    return .fields(["holds": .list(entries), "problems": problems()])
  }

  static func hold(_ hold: HoldEntry) -> DumpValue {
    .fields([
      "volume": .number(hold.volume.number), "tag": .text(hold.tag), "reason": .text(hold.reason),
      "createdAt": .number(hold.createdAt),
    ])
  }

  func owed(_ superblock: Superblock) -> DumpValue {
    var ranges: [DumpValue] = []
    inspector.walk(superblock.owed, type: .owed, superblock) { _, node in
      for i in 0..<FormatConstants.owedPerLeaf {
        guard let range = try? OwedRange.decode(from: node, index: i) else { continue }
        ranges.append(Self.owed(range))
      }
    }
    return .fields(["owed": .list(ranges), "problems": problems()])
  }

  static func owed(_ range: OwedRange) -> DumpValue {
    .fields([
      "volume": .number(range.volume.number), "firstBlock": .number(range.firstBlock),
      "blockCount": .number(range.blockCount),
    ])
  }

  func doomed(_ superblock: Superblock) -> DumpValue {
    var entries: [DumpValue] = []
    inspector.walk(superblock.doomed, type: .doomed, superblock) { _, node in
      for i in 0..<FormatConstants.doomedPerLeaf {
        guard let entry = try? DoomedEntry.decode(from: node, index: i) else { continue }
        entries.append(
          .fields([
            "id": .number(entry.id.number), "family": .number(entry.family),
            "root": Self.root(entry.root), "cursorEnd": .number(entry.cursorEnd.index),
            "cursorLevel": .number(entry.cursorLevel),
          ]))
      }
    }
    return .fields(["doomed": .list(entries), "problems": problems()])
  }

  // MARK: Journal

  func journal(_ superblock: Superblock) -> DumpValue {
    var blocks: [DumpValue] = []
    for stream in superblock.streams {
      for (place, start) in [stream.place, stream.secondPlace].compactMap({ $0 }).enumerated() {
        guard let member = inspector.members[start.device] else { continue }
        let length = member.device.sizeBytes >> 12
        let end = min(UInt64(stream.blockCount), length - min(start.block, length))
        for position in 0..<end {
          let from = start.advanced(byBlocks: position)
          if let block = journalBlock(member.device, from, superblock) {
            blocks.append(
              .object(
                [
                  .init("place", .number(place)), .init("position", .number(position)),
                ] + block))
          }
        }
      }
    }
    return .fields([
      "logGeneration": .number(superblock.logGeneration),
      "logNonce": .number(superblock.logNonce),
      "firstSequence": .number(superblock.streams.first?.firstSequence ?? 0),
      "blocks": .list(blocks),
    ])
  }

  /// Nil: nothing was ever written there.
  private func journalBlock(
    _ device: any SynchronousDevice, _ from: DevicePlace, _ superblock: Superblock
  ) -> [DumpValue.Field]? {
    do throws(InspectionRefusal) {
      let buffer = try inspector.read(device, at: from.byteOffset, blockCount: 1)
      if buffer.isZero { return nil }
      do throws(FormatError) {
        return Self.fields(of: try JournalBlockHeader.decode(buffer.node()), buffer, superblock)
      } catch {
        buffer.mendChecksum(at: 92)
        let header = try? JournalBlockHeader.decode(buffer.node())
        return [.init("problem", .text(error.words))]
          + (header.map { Self.fields(of: $0, buffer, superblock) } ?? [])
      }
    } catch { return [.init("problem", .text(error.problem.text(in: inspector.report)))] }
  }

  private static func fields(
    of header: JournalBlockHeader, _ buffer: BlockBuffer, _ superblock: Superblock
  ) -> [DumpValue.Field] {
    let isCurrent =
      header.pool == superblock.poolUUID.high && header.logGeneration == superblock.logGeneration
      && header.logNonce == superblock.logNonce
    var records: [DumpValue] = []
    var offset = 0
    var number = header.firstRecord.number
    while offset < Int(header.payloadBytes) {
      guard let next = try? Record.decode(fromJournal: buffer.node(), header, at: offset) else {
        records.append(.fields(["number": .number(number), "problem": "it cannot be read"]))
        break
      }
      records.append(
        .fields([
          "number": .number(number), "type": .text("\(next.record.type)"),
          "more": next.more ? .flag(true) : nil, "contents": .text(text(of: next.record)),
        ]))
      offset += next.length
      number &+= 1
    }
    return [
      .init("sequence", .number(header.sequence)), .init("belongsToTheLog", .flag(isCurrent)),
      .init("logGeneration", .number(header.logGeneration)),
      .init("superblockSequence", .number(header.superblockSequence)),
      .init("checkpointSequence", .number(header.checkpointSequence)),
      .init("durableThrough", .number(header.durableThrough)),
      .init("applyVersion", .number(header.applyVersion)),
      .init("checksum", .hexadecimal(buffer.node().journalChecksum)),
      .init("previousChecksum", .hexadecimal(header.previousChecksum)),
      .init("records", .list(records)),
    ]
  }

  private static func text(of record: Record) -> String {
    switch record {
    case .map(let volume, let extent, let entry):
      "volume \(volume.number), extent \(extent.index): upper \(text(entry.upper)), "
        + "lower \(text(entry.lower))"
    case .createVolume(let volume), .alterVolume(let volume):
      "volume \(volume.id.number) '\(volume.name)', \(volume.sizeBytes) bytes"
    case .deleteVolume(let volume): "volume \(volume.number)"
    case .snapshot(let source, let made), .clone(let source, let made):
      "volume \(made.id.number) '\(made.name)' of volume \(source.number)"
    case .rollback(let volume, let snapshot):
      "volume \(volume.number) to snapshot \(snapshot.number)"
    case .unshare(let volume, let branch):
      "volume \(volume.number), branch point \(branch.number)"
    case .resize(let step):
      "volume \(step.volume.number), \(step.sizeBytes) bytes; "
        + "cuts \(step.cutExtents) extents and \(step.cutBlocks) blocks off"
    case .settings(let settings): "trash expiry \(settings.trashExpirySeconds) seconds"
    case .hold(let change):
      "volume \(change.entry.volume.number), tag '\(change.entry.tag)': "
        + (change.action == .place ? "placed" : "released")
    case .owed(let change):
      "volume \(change.range.volume.number), blocks \(change.range.firstBlock) to "
        + "\(change.range.endBlock - 1): "
        + (change.action == .owe ? "discard owed" : "nothing owed any more")
    case .segmentClass(let segment, let newClass, let partner):
      "segment \(segment.index) becomes \(newClass.name)"
        + (partner.map { ", with the place of segment \($0.index)" } ?? "")
    case .createBookmark(let bookmark):
      "bookmark '\(bookmark.name)' of snapshot \(bookmark.snapshot.number)"
    case .deleteBookmark(let id): "bookmark \(id.number)"
    case .drop(let step):
      "tree \(step.doomed.number), level \(step.level), key \(step.key): "
        + (step.decision == .release ? "release" : "descend")
    }
  }

  static func text(_ layer: Layer) -> String {
    if layer.isNone {
      return layer.birth == .zero ? "none" : "none since \(layer.birth.number)"
    }
    let cleared = layer.flags & Layer.clearedFlag != 0 ? " above what was cleared" : ""
    let kind = (layer.isPacked ? " packed" : layer.isProvisioned ? " provisioned" : "") + cleared
    return "\(layer.address.block) mask 0x\(String(layer.mask.bits, radix: 16))"
      + " birth \(layer.birth.number)\(kind)"
  }
}
