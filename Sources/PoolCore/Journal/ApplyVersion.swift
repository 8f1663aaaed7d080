/// How records are applied. Apply derives path copies and counts, so a journal may be replayed only
/// by a program that derives them as its writer did.
public enum ApplyVersion {
  /// What this program writes, and the only one that it replays.
  public static let current: UInt16 = 1
}
