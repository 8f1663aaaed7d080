import PoolCore
public import StorageUnits

/// A hold that is to be placed or released.
struct HoldOrder {
  enum Change {
    case place(reason: String, createdAt: UInt64)
    case release
  }
  var volume: VolumeID
  var tag: String
  var change: Change
}

extension VolumeEngine {
  /// Refuses the deletion of a volume or snapshot until the hold is released. `createdAt`: seconds
  /// since 1970. Answered with `done` once it is durable. Call `turn` afterwards.
  public func placeHold(
    on id: VolumeID, tag: String, reason: String, createdAt: UInt64, token: UInt64
  ) {
    let change = HoldOrder.Change.place(reason: reason, createdAt: createdAt)
    managementQueue.append(
      .hold(HoldOrder(volume: id, tag: tag, change: change), token: token))
  }

  /// Releases a hold. Answered with `done` once that is durable. Call `turn` afterwards.
  public func releaseHold(on id: VolumeID, tag: String, token: UInt64) {
    managementQueue.append(
      .hold(HoldOrder(volume: id, tag: tag, change: .release), token: token))
  }

  func stepHold(_ order: HoldOrder, _ token: UInt64) -> Bool {
    stepChange(token, of: order.volume) { (slot) throws(PoolError) in
      switch order.change {
      case .place(let reason, let createdAt):
        try pool.prepareHold(slot, tag: order.tag, reason: reason)
        pool.applyHold(slot, tag: order.tag, reason: reason, createdAt: createdAt)
      case .release:
        try pool.prepareRelease(slot, tag: order.tag)
        pool.applyRelease(slot, tag: order.tag)
      }
    }
  }
}
