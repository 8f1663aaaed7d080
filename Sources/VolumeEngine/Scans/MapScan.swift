public import BlockExport
public import PoolCore

/// Work that looks at maps in the background, a bounded piece in each turn: what changed between
/// two snapshots, what a volume alone holds. Hosts come first.
///
/// It holds nothing between two steps: neither nodes nor addresses nor volumes. What it looks at
/// may be changed or deleted meanwhile, so each step looks its volumes up anew.
public protocol MapScan: AnyObject {
  /// One step, which goes into about `nodesAtMost` nodes and changes nothing of the pool.
  func step(_ pool: Pool, nodesAtMost: Int) -> MapScanStep

  /// The scan is over; called once. Nil: its last step said `done`. Else a node cannot be read
  /// (`inputOutput`), the engine stops (`shuttingDown`), or what the last step said.
  func ended(_ error: ExportError?)
}

/// What a scan needs next.
public enum MapScanStep {
  case goOn
  /// The next step comes when this node is in memory.
  case missing(NodeLoad)
  case done
  case failed(ExportError)
}

/// A scan and the node that it waits for.
struct RunningScan {
  var scan: any MapScan
  var waitsFor: NodeLoad?
}
