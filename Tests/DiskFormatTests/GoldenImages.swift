import DiskFormat
import StorageUnits

extension Golden {
  /// The structures of version 1 as the encoders of today write them, by the name of the image.
  static let images: [Image] = firstImages + laterImages

  typealias Image = (name: String, encode: @Sendable () -> [UInt8])

  private static let firstImages: [Image] = [
    ("superblock-v1", { superblock.encoded() }),
    ("map-leaf-v1", { mapLeaf }),
    ("map-inner-v1", { mapInner }),
    ("catalogue-leaf-v1", { catalogueLeaf }),
    ("doomed-leaf-v1", { doomedLeaf }),
    ("snapshot-leaf-v1", { snapshotLeaf }),
    ("received-leaf-v1", { receivedLeaf }),
    ("doomed-leaf-branched-v1", { branchedDoomedLeaf }),
    ("version-tree-leaf-v1", { versionTreeLeaf }),
    ("superblock-bookmarked-v1", { bookmarkedSuperblock.encoded() }),
    ("bookmark-leaf-v1", { bookmarkLeaf }),
    ("map-leaf-cleared-v1", { clearedMapLeaf }),
    ("journal-block-bookmarks-v1", { journalBlock(of: bookmarkRecords) }),
    ("count-page-v1", { countPage }),
    ("segment-page-v1", { segmentPage }),
    ("segment-inner-v1", { segmentInner }),
    ("journal-block-v1", { journalBlock }),
    ("tail-header-v1", { tailHeader.encoded() }),
    ("holds-leaf-v1", { holdsLeaf }),
    ("trash-leaf-v1", { trashLeaf }),
    ("superblock-undo-v1", { laterSuperblock.encoded() }),
    ("owed-leaf-v1", { owedLeaf }),
    ("superblock-owed-v1", { owingSuperblock.encoded() }),
    ("tail-frame-v1", { tailFrame(records[0], number: RecordNumber(123_460), generation: 5) }),
  ]

  private static let laterImages: [Image] = laterRecords.map { later in
    (later.name, { journalBlock(of: later.records) })
  }

  private static func node(_ header: NodeHeader, _ fill: (NodeImage) -> Void) -> [UInt8] {
    withNode { node in
      fill(node)
      node.seal(header)
      return node.bytes
    }
  }

  static var mapLeaf: [UInt8] {
    node(nodeHeader(.map, owner: 7)) { node in
      node.setEntry(entry, 0)
      node.setEntry(MapEntry(upper: plain, lower: .none), 1)
      node.setEntry(MapEntry(upper: emptied, lower: packed), 2)
      node.setEntry(MapEntry(upper: emptied, lower: .none), 167)
    }
  }

  static var mapInner: [UInt8] {
    node(nodeHeader(.map, level: 2, owner: 7)) { node in
      node.setPointer(pointer(0xFF_FFFF_FFFF, 0xFFFF_FFFF, birth: .max), 0)
      node.setPointer(pointer(0x8027, 0x0246_8ACE, birth: 9), 1)
      node.setPointer(
        NodePointer(address: .none, checksum: 0, birth: ShareEpoch(5)), 251)
    }
  }

  static var catalogueLeaf: [UInt8] {
    node(nodeHeader(.catalogue)) { node in
      storedVolume.encode(into: node, slot: 2)
      readOnlyVolume.encode(into: node, slot: 3)
    }
  }

  static var doomedLeaf: [UInt8] {
    node(nodeHeader(.doomed)) { doomed.encode(into: $0, index: 1) }
  }

  static var snapshotLeaf: [UInt8] {
    node(nodeHeader(.catalogue)) { node in
      storedVolume.encode(into: node, slot: 2)
      snapshot.encode(into: node, slot: 3)
    }
  }

  static var receivedLeaf: [UInt8] {
    node(nodeHeader(.catalogue)) { node in
      receivingVolume.encode(into: node, slot: 2)
      receivedSnapshot.encode(into: node, slot: 3)
    }
  }

  static var branchedDoomedLeaf: [UInt8] {
    node(nodeHeader(.doomed)) { branchedDoomed.encode(into: $0, index: 1) }
  }

  static var versionTreeLeaf: [UInt8] {
    node(nodeHeader(.versionTree)) { node in
      for (slot, branchPoint) in versionNodes { branchPoint.encode(into: node, index: slot) }
    }
  }

  static var bookmarkLeaf: [UInt8] {
    node(nodeHeader(.bookmarks)) { bookmark.encode(into: $0, index: 11) }
  }

  static var clearedMapLeaf: [UInt8] {
    node(nodeHeader(.map, owner: 7)) { node in
      node.setEntry(clearedEntry, 0)
      node.setEntry(MapEntry(upper: plain, lower: emptied), 1)
    }
  }

  static var trashLeaf: [UInt8] {
    node(nodeHeader(.catalogue)) { trashed.encode(into: $0, slot: 2) }
  }

  static var holdsLeaf: [UInt8] {
    node(nodeHeader(.holds)) { node in
      for (slot, hold) in holds { hold.encode(into: node, index: slot) }
    }
  }

  static var owedLeaf: [UInt8] {
    node(nodeHeader(.owed)) { node in
      for (slot, range) in owed { range.encode(into: node, index: slot) }
    }
  }

  static var countPage: [UInt8] {
    node(nodeHeader(.countPage)) { node in
      node.setCount(1, 0)
      node.setCount(0x01_0203, 1)
      node.setCount(FormatConstants.stickyCount, 1023)
    }
  }

  static var segmentPage: [UInt8] {
    node(nodeHeader(.segmentTable, address: 0)) { node in
      for (i, segment) in segments.enumerated() { segment.encode(into: node, index: i) }
    }
  }

  static var segmentInner: [UInt8] {
    node(nodeHeader(.segmentTable, level: 1, address: 0)) { node in
      SystemPointer(place: place(0, 0x500), secondPlace: place(1, 0x600), checksum: 0xCAFE_F00D)
        .encode(into: node, index: 0)
      SystemPointer(place: place(2, 0xFFFF_FFFF_FFFF), secondPlace: nil, checksum: 1)
        .encode(into: node, index: 167)
    }
  }

  static var journalBlock: [UInt8] { journalBlock(of: records, moreAfter: 4) }

  static func journalBlock(of records: [Record], moreAfter: Int? = nil) -> [UInt8] {
    withNode { block in
      var at = FormatConstants.journalHeaderBytes
      for (i, record) in records.enumerated() {
        for byte in record.encoded(more: i == moreAfter) {
          block.store8(byte, at)
          at += 1
        }
      }
      journalHeader(
        payloadBytes: at - FormatConstants.journalHeaderBytes, recordCount: records.count
      ).encode(into: block)
      block.sealJournalBlock()
      return block.bytes
    }
  }
}
