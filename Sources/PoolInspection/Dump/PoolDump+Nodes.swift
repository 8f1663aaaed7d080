import BlockIO
import DiskFormat
import StorageUnits

// Nodes, and the map of a volume.
extension PoolDump {
  /// What lies at an address, in each of its places; nothing is asked of it.
  func node(_ address: PoolAddress, _ superblock: Superblock) throws(Problem) -> DumpValue {
    let segment = address.block >> UInt64(superblock.segmentShift)
    guard !address.isNone, segment < UInt64(inspector.segments.count) else {
      throw .noSuchAddress(address)
    }
    let places = inspector.places(of: address, superblock)
    guard !places.isEmpty else { throw .noSuchAddress(address) }
    return .fields([
      "address": .number(address.block), "segment": .number(segment),
      "class": .text(inspector.segments[Int(segment)].segmentClass.name),
      "copies": .list(places.map { .object(self.copy(at: $0)) }),
    ])
  }

  private func copy(at place: DevicePlace) -> [DumpValue.Field] {
    var fields: [DumpValue.Field] = [.init("place", Self.place(place))]
    guard let member = inspector.members[place.device] else {
      return fields + [.init("problem", "its device was not given")]
    }
    fields.append(.init("device", .text(inspector.report.deviceName(at: member.position))))
    do throws(InspectionRefusal) {
      let buffer = try inspector.read(member.device, at: place.byteOffset, blockCount: 1)
      do throws(FormatError) {
        return fields + Self.fields(of: buffer.node(), try buffer.node().open())
      } catch {
        fields.append(.init("problem", .text(error.words)))
        // As it would be read if only its checksum were wrong.
        buffer.mendChecksum(at: 60)
        guard let header = try? buffer.node().open() else { return fields }
        return fields + Self.fields(of: buffer.node(), header)
      }
    } catch {
      return fields + [.init("problem", .text(error.problem.text(in: inspector.report)))]
    }
  }

  private static func fields(of node: NodeImage, _ header: NodeHeader) -> [DumpValue.Field] {
    var fields: [DumpValue.Field] = [
      .init("type", .text("\(header.type)")), .init("level", .number(header.level)),
      .init("key", .number(header.key)), .init("owner", .number(header.owner)),
      .init("ownAddress", .number(header.address.block)), .init("pool", .hexadecimal(header.pool)),
      .init("checkpoint", .number(header.checkpoint)), .init("birth", .number(header.birth.number)),
      .init("checksum", .hexadecimal(node.storedChecksum)),
    ]
    do throws(FormatError) { try node.validateContents(header) } catch {
      fields.append(.init("problem", .text(error.words)))
    }
    fields.append(.init("contents", .list(contents(of: node, header))))
    return fields
  }

  private static func contents(of node: NodeImage, _ header: NodeHeader) -> [DumpValue] {
    switch (header.type, header.level) {
    case (.map, 0):
      (0..<FormatConstants.entriesPerLeaf).compactMap { i in
        let entry = node.entry(i)
        guard entry != .none else { return nil }
        let first = header.key.multipliedReportingOverflow(
          by: UInt64(FormatConstants.entriesPerLeaf)
        ).partialValue
        return .fields([
          "extent": .number(first &+ UInt64(i)), "upper": .text(text(entry.upper)),
          "lower": .text(text(entry.lower)),
        ])
      }
    case (.countPage, _):
      (0..<FormatConstants.countsPerPage).compactMap { i in
        node.count(i) == 0
          ? nil : .fields(["index": .number(i), "count": .number(node.count(i))])
      }
    case (.catalogue, 0):
      (0..<FormatConstants.volumesPerLeaf).compactMap { slot in
        do throws(FormatError) {
          return try VolumeRecord.decode(from: node, slot: slot).map(volume)
        } catch {
          return .fields(["slot": .number(slot), "problem": .text(error.words)])
        }
      }
    case (.doomed, 0):
      (0..<FormatConstants.doomedPerLeaf).compactMap { i in
        do throws(FormatError) {
          return try DoomedEntry.decode(from: node, index: i).map {
            .fields(["slot": .number(i), "id": .number($0.id.number), "root": root($0.root)])
          }
        } catch { return .fields(["slot": .number(i), "problem": .text(error.words)]) }
      }
    case (.versionTree, 0):
      (0..<FormatConstants.versionNodesPerLeaf).compactMap { i in
        do throws(FormatError) {
          return try VersionNode.decode(from: node, index: i).map {
            .fields([
              "slot": .number(i), "epoch": .number($0.epoch.number),
              "parent": .number($0.parent.number),
            ])
          }
        } catch { return .fields(["slot": .number(i), "problem": .text(error.words)]) }
      }
    case (.bookmarks, 0):
      (0..<FormatConstants.bookmarksPerLeaf).compactMap { i in
        do throws(FormatError) {
          return try Bookmark.decode(from: node, index: i).map {
            .fields([
              "slot": .number(i), "id": .number($0.id.number),
              "volume": .number($0.volume.number), "name": .text($0.name),
              "epoch": .number($0.epoch.number), "snapshot": .number($0.snapshot.number),
              "snapshotName": .text($0.snapshotName), "sizeBytes": .number($0.sizeBytes),
            ])
          }
        } catch { return .fields(["slot": .number(i), "problem": .text(error.words)]) }
      }
    case (.holds, 0):
      (0..<FormatConstants.holdsPerLeaf).compactMap { i in
        do throws(FormatError) {
          return try HoldEntry.decode(from: node, index: i).map(hold)
        } catch { return .fields(["slot": .number(i), "problem": .text(error.words)]) }
      }
    case (.owed, 0):
      (0..<FormatConstants.owedPerLeaf).compactMap { i in
        do throws(FormatError) {
          return try OwedRange.decode(from: node, index: i).map(owed)
        } catch { return .fields(["slot": .number(i), "problem": .text(error.words)]) }
      }
    case (.segmentTable, _): []
    case (.map, _), (.catalogue, _), (.doomed, _), (.versionTree, _), (.bookmarks, _),
      (.holds, _), (.owed, _):
      (0..<FormatConstants.pointersPerNode).compactMap { i in
        let pointer = node.pointer(i)
        guard pointer != .none else { return nil }
        return .fields([
          "index": .number(i), "address": .number(pointer.address.block),
          "checksum": .hexadecimal(pointer.checksum), "birth": .number(pointer.birth.number),
        ])
      }
    }
  }

  // MARK: A volume's map

  /// The volume's record, the nodes of its map from the root down, and its entries in order.
  func volume(_ name: String, _ superblock: Superblock) throws(Problem) -> DumpValue {
    let before = inspector.report.findings.count
    guard let record = catalogue(superblock).first(where: { $0.name == name }) else {
      throw inspector.report.findings.count == before
        ? .noSuchVolume(name) : .catalogueDamaged(name)
    }
    var listing = MapListing(family: record.family)
    if !record.root.isNone {
      list(record.root.pointer, level: record.root.level, key: 0, &listing, superblock)
    }
    return .fields([
      "volume": Self.volume(record), "nodes": .list(listing.nodes),
      "entries": .list(listing.entries),
    ])
  }

  private struct MapListing {
    var family: UInt64
    var nodes: [DumpValue] = []
    var entries: [DumpValue] = []
  }

  private func list(
    _ pointer: NodePointer, level: UInt8, key: UInt64, _ listing: inout MapListing,
    _ superblock: Superblock
  ) {
    let identity = NodeIdentity(
      type: .map, level: level, key: key, owner: listing.family, address: pointer.address,
      checksum: pointer.checksum)
    let before = inspector.report.findings.count
    let buffer = inspector.name(
      identity, superblock, at: .node(pointer.address), volumes: []
    ).buffer
    let report = inspector.report
    let problems = report.findings[before...].map { DumpValue.text($0.message(in: report)) }
    listing.nodes.append(
      .fields([
        "address": .number(pointer.address.block), "level": .number(level), "key": .number(key),
        "birth": .number(pointer.birth.number),
        "problems": problems.isEmpty ? nil : .list(problems),
      ]))
    guard let buffer else { return }
    guard level > 0 else {
      let first = key * UInt64(FormatConstants.entriesPerLeaf)
      for i in 0..<FormatConstants.entriesPerLeaf where buffer.node().entry(i) != .none {
        let entry = buffer.node().entry(i)
        listing.entries.append(
          .fields([
            "extent": .number(first + UInt64(i)), "upper": .text(Self.text(entry.upper)),
            "lower": .text(Self.text(entry.lower)),
          ]))
      }
      return
    }
    for i in 0..<FormatConstants.pointersPerNode where !buffer.node().pointer(i).isNone {
      list(
        buffer.node().pointer(i), level: level - 1,
        key: key * UInt64(FormatConstants.pointersPerNode) + UInt64(i), &listing, superblock)
    }
  }
}
