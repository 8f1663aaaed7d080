/// The errors that several rooms report, so that they read the same everywhere.
extension ManagementError {
  public static func poolNotFound(_ pool: PoolName, home: String) -> ManagementError {
    ManagementError(
      .poolNotFound, "there is no pool '\(pool)' in \(home)",
      correction:
        "Create it with 'lamina pool create \(pool) --device PATH:SIZE', or name its state folder"
        + " with --home or LAMINA_HOME.",
      objects: [ManagementObject(.pool, pool.text)])
  }

  public static func poolExists(_ pool: PoolName, home: String) -> ManagementError {
    ManagementError(
      .poolExists, "there is already a pool '\(pool)' in \(home)",
      correction: "Choose another name, or another state folder with --home.",
      objects: [ManagementObject(.pool, pool.text)])
  }

  /// Another process holds the pool; `holder` is what it wrote about itself, if that is known.
  public static func poolInUse(_ pool: PoolName, holder: PoolHolder?) -> ManagementError {
    let cause =
      if let holder { "It is held by \(holder.description)." } else {
        "Another process holds its devices; it left no word about itself."
      }
    return ManagementError(
      .poolInUse, "pool '\(pool)' is in use", cause: cause,
      correction: "Use the running server, or stop it first: it ends cleanly on SIGTERM.",
      objects: [ManagementObject(.pool, pool.text)])
  }

  public static func volumeNotFound(_ volume: VolumeName, pool: String) -> ManagementError {
    ManagementError(
      .volumeNotFound, "there is no volume '\(volume)' in pool '\(pool)'",
      correction: "'lamina volume list \(pool)' shows the volumes that there are.",
      objects: [ManagementObject(.volume, "\(pool)/\(volume)")])
  }

  public static func volumeExists(_ volume: VolumeName, pool: String) -> ManagementError {
    ManagementError(
      .volumeExists, "there is already a volume '\(volume)' in pool '\(pool)'",
      correction:
        "Choose another name, or delete it with 'lamina volume delete \(pool)/\(volume)'.",
      objects: [ManagementObject(.volume, "\(pool)/\(volume)")])
  }

  public static func snapshotNotFound(_ name: SnapshotName, pool: String) -> ManagementError {
    ManagementError(
      .snapshotNotFound, "there is no snapshot '\(name)' in pool '\(pool)'",
      correction: "'lamina snapshot list \(pool)' shows the snapshots that there are.",
      objects: [ManagementObject(.snapshot, "\(pool)/\(name)")])
  }

  public static func bookmarkNotFound(_ name: BookmarkName, pool: String) -> ManagementError {
    ManagementError(
      .bookmarkNotFound, "there is no bookmark '\(name)' in pool '\(pool)'",
      correction: "'lamina bookmark list \(pool)' shows the bookmarks that there are.",
      objects: [ManagementObject(.bookmark, "\(pool)/\(name)")])
  }

  public static func bookmarkNotOnLine(
    _ bookmark: BookmarkName, _ target: ContentName, pool: String
  ) -> ManagementError {
    ManagementError(
      .bookmarkNotOnLine, "what '\(target)' changed since '\(bookmark)' is not known",
      cause: "The bookmark's snapshot is gone, and '\(target)' was not made from it: it is older,"
        + " or was rolled back to before it.",
      correction: "Count from another base; 'lamina snapshot ranges \(pool)/\(target)' shows all"
        + " that it stores.",
      objects: [
        ManagementObject(.bookmark, "\(pool)/\(bookmark)"),
        ManagementObject(.volume, "\(pool)/\(target)"),
      ])
  }

  /// An exact difference is asked for, and the base's bytes are not there.
  public static func nothingToCompare(_ base: BaseName?, pool: String) -> ManagementError {
    let name = base.map { "'\($0)'" }
    return ManagementError(
      .invalidArgument,
      name.map { "the bytes of \($0) are gone, so that nothing can be compared" }
        ?? "an exact difference needs a base",
      cause: name.map { "\($0) is a bookmark, and its snapshot was deleted." },
      correction: name == nil ? "Name one." : "Ask without --exact, or count from a snapshot.",
      objects: base.map { [ManagementObject(.bookmark, "\(pool)/\($0)")] }
        ?? [ManagementObject(.option, "base")])
  }

  public static func volumesNotRelated(
    _ base: BaseName, _ target: ContentName, pool: String
  ) -> ManagementError {
    ManagementError(
      .volumesNotRelated, "'\(base)' and '\(target)' share no history",
      cause: "Neither was made from the other, nor both from a third.",
      correction: "'lamina snapshot ranges \(pool)/\(target)' shows all that the second stores.",
      objects: [
        ManagementObject(.volume, "\(pool)/\(base)"),
        ManagementObject(.volume, "\(pool)/\(target)"),
      ])
  }

  public static func snapshotExists(_ name: String, pool: String) -> ManagementError {
    ManagementError(
      .snapshotExists, "there is already a snapshot '\(name)' in pool '\(pool)'",
      correction: "Rename or delete it first, if it is not the one that you want.",
      objects: [ManagementObject(.snapshot, "\(pool)/\(name)")])
  }

  /// A host is connected to the volume.
  public static func volumeInUse(_ volume: VolumeName, pool: String) -> ManagementError {
    ManagementError(
      .volumeInUse, "a host is connected to volume '\(volume)'",
      cause: "What it reads would change under it.",
      correction: "Disconnect it first.",
      objects: [ManagementObject(.volume, "\(pool)/\(volume)")])
  }

  /// A stream is being received into the volume, or upon the snapshot.
  public static func volumeReceiving(_ name: String, pool: String) -> ManagementError {
    ManagementError(
      .volumeReceiving, "a stream is being received into '\(name)' of pool '\(pool)'",
      correction: "Wait for its end, or end the 'lamina receive' that does it.",
      objects: [ManagementObject(name.contains("@") ? .snapshot : .volume, "\(pool)/\(name)")])
  }

  public static func poolReadOnly(_ pool: String, reason: String?) -> ManagementError {
    ManagementError(
      .poolReadOnly, "pool '\(pool)' is read-only", cause: reason,
      correction:
        "Find out why its device failed, then stop and start the server; nothing was changed.",
      objects: [ManagementObject(.pool, pool)])
  }

  public static func serverStopping(pool: String) -> ManagementError {
    ManagementError(
      .serverStopping, "the server of pool '\(pool)' is stopping",
      correction: "Try again when it has stopped, or has been started again.",
      objects: [ManagementObject(.pool, pool)])
  }

  public static func imagePinned(pool: String) -> ManagementError {
    ManagementError(
      .imagePinned, "pool '\(pool)' is being checked already",
      correction: "Wait for the other check. If it was killed, the server forgets it within a"
        + " minute.", objects: [ManagementObject(.pool, pool)])
  }

  public static func imagePinLost(pool: String) -> ManagementError {
    ManagementError(
      .imagePinLost, "the server of pool '\(pool)' gave up the checkpoint that was being read",
      cause: "Hosts would have had to wait for it, or it took too long.",
      correction: "Check the pool when its hosts write less or it has more space, or stop the"
        + " server and check then.", objects: [ManagementObject(.pool, pool)])
  }

  /// A call to the system failed on a file: `operation` names the call's purpose ("open").
  public static func system(
    _ operation: String, file: String, errorNumber: Int32, kind: ManagementObject.Kind = .file,
    code: Code = .inputOutput
  ) -> ManagementError {
    let problem = SystemErrorText.describe(errorNumber)
    let denied = SystemErrorText.isPermissionProblem(errorNumber)
    return ManagementError(
      denied ? .permissionDenied : code, "cannot \(operation) \(file)", cause: "\(problem).",
      correction: denied
        ? "Run this as the user that owns it, or as root." : nil,
      objects: [ManagementObject(kind, file)])
  }
}
