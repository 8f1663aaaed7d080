public import BlockIO
import DiskFormat
import StorageUnits

// A pool that a server has open. The server pins the image of one checkpoint; superblocks, segment
// table and count images of it stay for as long as the pin is frozen, its nodes until the pin is
// given up. The journal is being written all the time and is not looked at: the server answers for
// it, and the next start judges it.
extension PoolInspector {
  /// The first half of an inspection beside a server, while the pin is frozen: reads what does not
  /// stay. Nil if the newest superblock is not `superblockSequence`: the pin was lost.
  ///
  /// Memory beyond the usual: 64 KiB for each segment of 64 MiB that holds nodes.
  public static func beginServed(
    devices: [any SynchronousDevice], superblockSequence: UInt64,
    progress: ((Progress) -> Void)? = nil
  ) -> PoolInspector? {
    let inspector = PoolInspector(devices: devices, progress: progress)
    inspector.report.isServed = true
    let superblock = inspector.readSystemArea()
    if let found = inspector.report.superblock?.sequence, found != superblockSequence { return nil }
    guard let superblock else { return inspector }
    for (i, entry) in inspector.segments.enumerated() where entry.segmentClass == .node {
      let index = SegmentIndex(index: UInt32(i))
      inspector.countImages[index] = inspector.readCountImage(of: index, entry, superblock)
    }
    return inspector
  }

  /// The second half, while the nodes stay. To be called once. The report is of worth only if the
  /// pin was held to the end.
  public func finishServed() -> InspectionReport {
    if !segments.isEmpty, let superblock = report.superblock,
      segments.count == Int(superblock.segmentCount)
    {
      checkImage(superblock)
      finish(superblock)
    }
    return report
  }
}
