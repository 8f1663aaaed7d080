/// A volume as a person names it: `POOL/VOLUME`. The characters `@` and `#` are reserved for
/// snapshots and marks.
public struct VolumeReference: Hashable, Sendable, CustomStringConvertible {
  public var pool: PoolName
  public var volume: VolumeName

  public init(pool: PoolName, volume: VolumeName) {
    self.pool = pool
    self.volume = volume
  }

  /// Throws `invalidName`, or `notSupported` for `POOL/VOLUME@SNAPSHOT` and `POOL/VOLUME#MARK`.
  public init(_ text: String) throws(ManagementError) {
    if let reserved = text.first(where: { $0 == "@" || $0 == "#" }) {
      throw ManagementError(
        .notSupported, "'\(text)' names a part of a volume",
        cause: "'\(reserved)' is kept for \(reserved == "@" ? "snapshots" : "marks").",
        correction: "Name the volume itself: POOL/VOLUME.",
        objects: [ManagementObject(.volume, text)])
    }
    let (pool, name) = try PoolName.split(
      text, of: .volume, form: "POOL/VOLUME", example: "lamina volume show demo/disk1")
    self.init(pool: pool, volume: try VolumeName(name))
  }

  public var description: String { "\(pool)/\(volume)" }
}
