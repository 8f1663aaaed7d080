import BlockExport
import DiskFormat
import PoolCore
import StorageUnits

/// What somebody who reads the devices of a pool that is in use may rely on.
public struct PinnedImage: Hashable, Sendable {
  /// Names the pin; never used twice by one engine.
  public var id: UInt64
  /// The superblock that shows the image. It is durable on every member.
  public var superblockSequence: UInt64
}

/// A pin and its two phases.
///
///     frozen ─▶ kept ─▶ gone
///
/// *Frozen*: no checkpoint begins, so that every byte of the image stays: superblocks, segment
/// table, count images, nodes. That lasts for as long as it takes to read the first three, and at
/// the most some seconds. *Kept*: checkpoints go on, and only the nodes of the image stay.
///
/// Hosts come first: a pin is gone as soon as somebody would have to wait for it.
struct ImagePin {
  var image: PinnedImage
  var isFrozen = true
  var frozenUntil: MonotonicTime
  var expires: MonotonicTime

  var deadline: MonotonicTime { isFrozen ? min(frozenUntil, expires) : expires }
}

/// Pinned images, for the check of a pool that is in use.
extension VolumeEngine {
  /// The longest time without checkpoints.
  static var frozenMilliseconds: UInt64 { 10_000 }
  /// A pin that nobody renews is gone after this: its owner may have been killed.
  static var pinMilliseconds: UInt64 { 60_000 }

  /// Pins the image of the newest checkpoint, frozen at first. One pin at a time. Answered with
  /// `done`, `refused` or `failed`; `pinnedImage` says which it is. Call `turn` afterwards.
  public func pinImage(token: UInt64) {
    managementQueue.append(.pinImage(token: token))
  }

  /// The image that is pinned now, nil if none is.
  public var pinnedImage: PinnedImage? { imagePin?.image }

  /// Prolongs a pin, and ends its frozen phase if `thaws`. False: the pin is gone, and what was
  /// read under it may be of no image at all. Call `turn` afterwards.
  public func renewImagePin(_ id: UInt64, thaws: Bool) -> Bool {
    guard imagePin?.image.id == id, pool.keepsImage else { return false }
    imagePin?.expires = now.adding(milliseconds: Self.pinMilliseconds)
    if thaws { imagePin?.isFrozen = false }
    return true
  }

  /// Gives a pin up. False: it was gone before. Call `turn` afterwards.
  public func releaseImagePin(_ id: UInt64) -> Bool {
    guard imagePin?.image.id == id else { return false }
    let wasHeld = pool.keepsImage
    endImagePin()
    return wasHeld
  }

  func stepPinImage(_ token: UInt64) -> Bool {
    if isStopping { return fail(token, .shuttingDown) }
    if isReadOnly { return refuse(token, .readOnly) }
    if imagePin != nil { return refuse(token, .imageIsPinned) }
    guard !checkpointing.isRunning, let device = devices.first else { return false }
    pool.keepImage()
    imagePin = ImagePin(
      image: PinnedImage(
        id: nextImagePin, superblockSequence: pool.superblock(for: device).sequence),
      frozenUntil: now.adding(milliseconds: Self.frozenMilliseconds),
      expires: now.adding(milliseconds: Self.pinMilliseconds))
    nextImagePin += 1
    managementAnswers.append(ManagementAnswer(token: token, result: .done))
    return true
  }

  /// Ends a pin that is too old, that the pool let go, or that somebody waits for.
  func stepImagePin() {
    guard let pin = imagePin else { return }
    let isInTheWay = pin.isFrozen && (isStopping || someoneNeedsCheckpoint)
    if pin.deadline <= now || isInTheWay || isReadOnly || !pool.keepsImage { endImagePin() }
  }

  private var someoneNeedsCheckpoint: Bool {
    pressure >= 0.75 || !checkpointWaiters.isEmpty || !parked.isEmpty
      || !checkpointing.nextTokens.isEmpty
      || checkpointing.isWanted && !managementQueue.isEmpty
  }

  private func endImagePin() {
    imagePin = nil
    pool.letImageGo()
  }
}
