import DiskFormat
import StorageUnits

// Which volumes a finding touches. A node or extent that several volumes share was judged when it
// was reached first; only once something is wrong with it are all maps walked again, for its names.
extension PoolInspector {
  func nameVolumes(_ superblock: Superblock) {
    var search = VolumeSearch()
    for finding in report.findings {
      switch finding.place {
      case .node(let address): search.wanted.insert(.node(address))
      case .extent(let extent): search.wanted.insert(.extent(extent))
      default: break
      }
    }
    guard !search.wanted.isEmpty, !volumes.isEmpty else { return }
    for volume in volumes where !volume.root.isNone {
      search.volume = volume.id
      let root = search.node(volume.root.pointer.address, level: volume.root.level, key: 0)
      if leads(root, volume, &search, superblock) { collect(root, &search) }
    }
    for i in report.findings.indices {
      guard let touched = search.touched[report.findings[i].place] else { continue }
      report.findings[i].volumes = touched.volumes
      report.findings[i].volumeBytes = touched.bytes
    }
  }

  /// Whether something wanted is in the tree below; each node is read once.
  private func leads(
    _ node: VolumeSearch.Node, _ volume: VolumeRecord, _ search: inout VolumeSearch,
    _ superblock: Superblock
  ) -> Bool {
    let block = node.address.block
    if let known = search.below[block] { return !known.isEmpty }
    var below: [VolumeSearch.Step] = []
    if search.wanted.contains(.node(node.address)) { below.append(.here) }
    search.below[block] = []
    if let image = readAgain(node, superblock) {
      if node.level == 0 {
        addExtents(of: image.node(), node, &below, search)
      } else {
        for i in 0..<FormatConstants.pointersPerNode {
          let pointer = image.node().pointer(i)
          guard !pointer.isNone else { continue }
          let child = search.node(
            pointer.address, level: node.level - 1,
            key: node.key * UInt64(FormatConstants.pointersPerNode) + UInt64(i))
          if leads(child, volume, &search, superblock) { below.append(.child(child)) }
        }
      }
    }
    search.below[block] = below
    return !below.isEmpty
  }

  private func addExtents(
    of image: NodeImage, _ node: VolumeSearch.Node, _ below: inout [VolumeSearch.Step],
    _ search: VolumeSearch
  ) {
    for i in 0..<FormatConstants.entriesPerLeaf {
      let entry = image.entry(i)
      for layer in [entry.upper, entry.lower]
      where !layer.isNone && search.wanted.contains(.extent(layer.address.extent)) {
        below.append(
          .extent(
            layer.address.extent,
            VirtualExtent(index: node.key * UInt64(FormatConstants.entriesPerLeaf) + UInt64(i))))
      }
    }
  }

  /// Reads a node that was read before; nil if it is not what its place asks for.
  private func readAgain(_ node: VolumeSearch.Node, _ superblock: Superblock) -> BlockBuffer? {
    guard let known = nodes[node.address.block], known.identity.level == node.level,
      known.identity.key == node.key, known.identity.type == .map
    else { return nil }
    for place in places(of: node.address, superblock) {
      guard let member = members[place.device],
        let buffer = try? read(member.device, at: place.byteOffset, blockCount: 1),
        (try? known.identity.check(buffer.node(), superblock)) != nil
      else { continue }
      return buffer
    }
    return nil
  }

  private func collect(_ node: VolumeSearch.Node, _ search: inout VolumeSearch) {
    for step in search.below[node.address.block] ?? [] {
      switch step {
      case .here: search.touch(.node(node.address), node.bytes)
      case .child(let child): collect(child, &search)
      case .extent(let extent, let virtual):
        search.touch(
          .extent(extent),
          virtual.firstByte..<virtual.firstByte + UInt64(StorageSizes.extentBytes))
      }
    }
  }
}

/// What is looked for in all maps, and what was found.
private struct VolumeSearch {
  struct Node: Hashable {
    var address: PoolAddress
    var level: UInt8
    var key: UInt64

    /// The bytes of a volume that it spans.
    var bytes: Range<UInt64> {
      let span = TreeShape.span(level: level, leafCapacity: FormatConstants.entriesPerLeaf)
      return VirtualExtent(index: key * span)
        .firstByte..<VirtualExtent(index: (key + 1) * span).firstByte
    }
  }
  enum Step {
    case here
    case child(Node)
    case extent(PoolExtent, VirtualExtent)
  }
  struct Touched {
    var volumes: [VolumeID]
    var bytes: Range<UInt64>
  }

  var wanted: Set<InspectionPlace> = []
  /// By node: how what is wanted is reached from it.
  var below: [UInt64: [Step]] = [:]
  var touched: [InspectionPlace: Touched] = [:]
  var volume = VolumeID(0)

  func node(_ address: PoolAddress, level: UInt8, key: UInt64) -> Node {
    Node(address: address, level: level, key: key)
  }

  mutating func touch(_ place: InspectionPlace, _ bytes: Range<UInt64>) {
    guard var known = touched[place] else {
      touched[place] = Touched(volumes: [volume], bytes: bytes)
      return
    }
    if known.volumes.last != volume { known.volumes.append(volume) }
    known.bytes =
      min(known.bytes.lowerBound, bytes.lowerBound)..<max(known.bytes.upperBound, bytes.upperBound)
    touched[place] = known
  }
}
