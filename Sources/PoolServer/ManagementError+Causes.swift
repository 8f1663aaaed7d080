import BlockIO
import DiskFormat
import Management
import PoolCore
import VolumeEngine

/// What the rooms below report, as the people and scripts at the command line are told.
extension ManagementError {
  init(opening error: DeviceOpenError) {
    let code: Code =
      switch error.problem {
      case .notFound: .deviceMissing
      case .alreadyExists: .deviceHasData
      case .notPermitted: .permissionDenied
      case .wrongKind, .sectorTooLarge, .badSize: .deviceUnsuitable
      case .directNotSupported: .directIONotPossible
      case .heldByAnother: .poolInUse
      case .system: .inputOutput
      }
    let correction: String? =
      switch error.problem {
      case .notFound: "Attach the device, or correct its path in the pool's record."
      case .directNotSupported: "Use --cache buffered."
      case .notPermitted: "Run this as the user that owns the device, or as root."
      default: nil
      }
    self.init(
      code, error.description, correction: correction,
      objects: [ManagementObject(.device, error.device)])
  }

  init(device error: DeviceError) {
    self.init(
      .inputOutput, error.description,
      correction: "Look at the kernel's log for the device, then try again.",
      objects: [ManagementObject(.device, error.device)])
  }

  init(ring error: RingError) {
    self.init(
      .ringNotPermitted, error.description,
      correction: "Lamina needs Linux 6.0 or later with io_uring permitted "
        + "(sysctl kernel.io_uring_disabled=0; containers: a seccomp profile that allows it).")
  }

  init(listening error: ListenError) {
    let code: Code =
      switch error.problem {
      case .inUse, .notASocket: .addressInUse
      case .pathTooLong: .socketPathTooLong
      case .unknownHost: .addressInvalid
      case .system: .addressInvalid
      }
    self.init(
      code, error.description, objects: [ManagementObject(.address, error.address.description)])
  }

  init(pool: PoolName, opening error: PoolOpeningError) {
    let code: Code =
      switch error {
      case .notAPoolDevice, .foreignDevice, .duplicateDevice, .notAMember, .expelledMember,
        .staleMember:
        .deviceForeign
      case .noDevices, .memberMissing: .deviceMissing
      case .superblockDamaged, .deviceShrunk: .deviceDamaged
      case .unknownVersion, .unknownFeatures, .otherApplyVersion: .formatNotSupported
      case .needsMoreMemory: .limitReached
      case .tableDamaged, .superblockContradictsDevices, .journal, .badRecord: .poolDamaged
      case .noSpace: .noSpace
      case .device: .inputOutput
      }
    self.init(
      code, "pool '\(pool)' cannot be opened", cause: error.description,
      correction: "What is stored was not changed.",
      objects: [ManagementObject(.pool, pool.text)])
  }

  init(pool: PoolName, creating error: PoolCreationError) {
    let code: Code =
      switch error {
      case .badName: .invalidName
      case .badAllocationRun: .invalidSize
      case .layout: .deviceUnsuitable
      case .carriesPool: .deviceHasData
      case .device: .inputOutput
      }
    self.init(
      code, "pool '\(pool)' cannot be created", cause: error.description,
      objects: [ManagementObject(.pool, pool.text)])
  }

  init(pool: String, refusing error: PoolError, volume: VolumeName) {
    switch error {
    case .noSuchVolume: self = .volumeNotFound(volume, pool: pool)
    case .invalidName:
      self.init(
        .invalidName, "'\(volume)' is no name for a volume",
        correction: "Use 1 to 127 characters of A-Z a-z 0-9 . _ -")
    case .invalidSize(let bytes):
      self.init(
        .invalidSize, "volume '\(volume)' cannot have \(bytes) bytes",
        cause:
          "A size is a multiple of the volume's logical block size, above zero, at most 32 PiB.",
        correction: "'lamina volume show \(pool)/\(volume)' shows the logical block size.",
        objects: [ManagementObject(.volume, "\(pool)/\(volume)")])
    case .hasSnapshots(let name, let snapshots):
      self.init(
        .volumeInUse, "volume '\(name)' has \(snapshots.count) snapshots",
        details: snapshots.prefix(10).map { "\(pool)/\($0)" },
        correction: "Delete them first: lamina snapshot delete "
          + snapshots.prefix(3).map { "\(pool)/\($0)" }.joined(separator: " ")
          + ", or out of the trash: lamina trash empty \(pool)",
        objects: [ManagementObject(.volume, "\(pool)/\(name)")])
    case .wouldCutOff(let name, let new, let old):
      self.init(
        .wouldLoseData, "volume '\(name)' would lose its last \(SizeText.human(old - new))",
        cause: "The bytes \(new) to \(old - 1) lie beyond the new end.",
        correction: "If they may go: lamina volume resize \(pool)/\(name) \(new) --shrink",
        objects: [ManagementObject(.volume, "\(pool)/\(name)")])
    case .held, .holdExists, .noSuchHold, .invalidTag, .badReason, .tooManyHolds, .notInTrash,
      .volumeInTrash:
      self.init(pool: pool, refusingHold: error)
    case .volumeExists, .noSpace, .readOnly, .mustWaitForCheckpoint, .isSnapshot, .isNoSnapshot,
      .isNoSnapshotOf, .tooManyAtOnce, .isBeingReceived, .hasChanged, .shareEpochsUsedUp,
      .imageIsPinned, .bookmarkExists, .noSuchBookmark, .tooManyBookmarks, .owesDiscards:
      self.init(pool: pool, refusingBranch: error)
    }
  }

  /// Snapshots, clones and rollback.
  init(pool: String, refusingBranch error: PoolError) {
    switch error {
    case .volumeExists(let name):
      let isSnapshot = name.contains("@")
      self.init(
        isSnapshot ? .snapshotExists : .volumeExists,
        "there is already a \(isSnapshot ? "snapshot" : "volume") '\(name)' in pool '\(pool)'",
        correction: "Choose another name.",
        objects: [ManagementObject(isSnapshot ? .snapshot : .volume, "\(pool)/\(name)")])
    case .isSnapshot(let name):
      self.init(
        .invalidArgument, "'\(name)' is a snapshot, which cannot be changed",
        correction: "Make a clone of it: lamina volume clone \(pool)/\(name) \(pool)/NEW",
        objects: [ManagementObject(.snapshot, "\(pool)/\(name)")])
    case .isNoSnapshot(let name), .isNoSnapshotOf(let name, _):
      self.init(
        .invalidArgument, "'\(name)' is no snapshot of that volume",
        correction: "'lamina snapshot list \(pool)' shows the snapshots that there are.",
        objects: [ManagementObject(.snapshot, "\(pool)/\(name)")])
    case .tooManyAtOnce(let most):
      self.init(
        .limitReached, "more than \(most) snapshots at one instant",
        correction: "Name at most \(most) in one command.",
        objects: [ManagementObject(.pool, pool)])
    case .imageIsPinned: self = .imagePinned(pool: pool)
    case .isBeingReceived(let name): self = .volumeReceiving(name, pool: pool)
    case .hasChanged(let name, let base):
      self.init(
        .volumeChanged, "volume '\(name)' has changed since '\(base)'",
        cause: "The stream was made upon that snapshot, and what was written since would be lost.",
        correction: "Make a snapshot of the volume if you need it as it is, then receive with"
          + " --rollback.",
        objects: [ManagementObject(.volume, "\(pool)/\(name)")])
    case .owesDiscards(let name):
      self.init(
        .noSpace, "volume '\(name)' owes discards, and the tables have no space to do them",
        cause: "A snapshot is made when they are done.",
        correction: "Delete something, then try again; 'lamina pool usage \(pool)' shows what there"
          + " is.",
        objects: [ManagementObject(.volume, "\(pool)/\(name)")])
    case .shareEpochsUsedUp:
      self.init(
        .limitReached, "pool '\(pool)' has made as many snapshots as it ever can",
        objects: [ManagementObject(.pool, pool)])
    case .tooManyBookmarks(let most):
      self.init(
        .limitReached, "pool '\(pool)' has \(most) bookmarks, the most that it can have",
        objects: [ManagementObject(.pool, pool)])
    case .bookmarkExists(let name):
      self.init(
        .bookmarkExists, "there is already a bookmark '\(name)' of that volume",
        objects: [ManagementObject(.pool, pool)])
    case .noSuchBookmark(let name):
      self.init(
        .bookmarkNotFound, "the bookmark is gone", cause: "It was deleted meanwhile (\(name)).",
        objects: [ManagementObject(.pool, pool)])
    case .noSuchVolume(let name), .invalidName(let name):
      self.init(
        .volumeNotFound, "the volume is gone", cause: "It was deleted meanwhile (\(name)).",
        objects: [ManagementObject(.pool, pool)])
    case .noSpace, .mustWaitForCheckpoint, .invalidSize, .hasSnapshots, .wouldCutOff:
      self.init(
        .noSpace, "pool '\(pool)' has no space for the tables of this change",
        correction: "Delete something, or discard what volumes no longer use.",
        objects: [ManagementObject(.pool, pool)])
    case .readOnly: self = .poolReadOnly(pool, reason: "A device failed to make data durable.")
    case .held, .holdExists, .noSuchHold, .invalidTag, .badReason, .tooManyHolds, .notInTrash,
      .volumeInTrash:
      self.init(pool: pool, refusingHold: error)
    }
  }

  private init(pool: String, refusingHold error: PoolError) {
    switch error {
    case .held(let name, let holds):
      let first = holds.first?.tag ?? "TAG"
      self.init(
        .held, "'\(pool)/\(name)' is held and cannot be deleted",
        details: holds.map { hold in
          hold.reason.isEmpty ? "tag '\(hold.tag)'" : "tag '\(hold.tag)': \(hold.reason)"
        },
        correction: "Release it when its reason is gone: lamina release \(pool)/\(name)"
          + " --tag \(first)",
        objects: [ManagementObject(name.contains("@") ? .snapshot : .volume, "\(pool)/\(name)")])
    case .holdExists(let name, let tag):
      self.init(
        .holdExists, "'\(pool)/\(name)' has a hold of the tag '\(tag)' already",
        correction: "Choose another tag, or release that one first.",
        objects: [ManagementObject(name.contains("@") ? .snapshot : .volume, "\(pool)/\(name)")])
    case .noSuchHold(let name, let tag):
      self.init(
        .holdNotFound, "'\(pool)/\(name)' has no hold of the tag '\(tag)'",
        correction: "'lamina holds \(pool)' shows the holds that there are.",
        objects: [ManagementObject(name.contains("@") ? .snapshot : .volume, "\(pool)/\(name)")])
    case .tooManyHolds(let most):
      self.init(
        .limitReached, "pool '\(pool)' has \(most) holds, the most that a pool may have",
        correction: "Release some that are not needed any more.",
        objects: [ManagementObject(.pool, pool)])
    case .notInTrash(let name):
      self.init(
        .trashItemNotFound, "'\(name)' is not in the trash of pool '\(pool)' any more",
        cause: "It was restored or deleted for good meanwhile.",
        correction: "'lamina trash list \(pool)' shows what there is.",
        objects: [ManagementObject(.pool, pool)])
    case .volumeInTrash(let name):
      self.init(
        .volumeNotFound, "the snapshot's volume '\(name)' is in the trash, too",
        correction: "Restore it first: lamina trash restore \(pool)/\(name)",
        objects: [ManagementObject(.volume, "\(pool)/\(name)")])
    default:
      self.init(
        .invalidArgument, "the tag or the reason of a hold is not as it should be",
        correction: "A tag has 1 to 63 of the characters A-Z a-z 0-9 . _ -, a reason at most 159"
          + " bytes.", objects: [ManagementObject(.pool, pool)])
    }
  }
}
