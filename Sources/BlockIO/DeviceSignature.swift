import CBlockIO
import Glibc

/// What a device carries already, by libblkid's tables: file systems, volume managers, RAID
/// members, encryption, partition tables (`Docs/Decisions/0003-libblkid-for-signatures.md`).
/// Lamina's own superblocks are not among them.
public enum DeviceSignature {
  /// A name for people of what lies on the file or block device ("ext4 file system labelled
  /// \"data\""), or nil if nothing known does. Reads only; takes no lock.
  public static func probe(_ path: String) throws(DeviceError) -> String? {
    let descriptor = unsafe lamina_file_open(path, Int32(LAMINA_OPEN_READ.rawValue))
    guard descriptor >= 0 else { throw DeviceError(.open, device: path, errno: -descriptor) }
    defer { _ = close(descriptor) }
    var found = lamina_signature()
    let status = unsafe lamina_probe_signature(descriptor, &found)
    guard status >= 0 else { throw DeviceError(.read, device: path, errno: -status) }
    if status == 0 { return nil }
    return name(
      type: text(of: &found.type), usage: text(of: &found.usage),
      label: text(of: &found.label), partitionTable: text(of: &found.partition_table),
      isAmbiguous: status == 2)
  }

  static func name(
    type: String, usage: String, label: String, partitionTable: String, isAmbiguous: Bool
  ) -> String {
    if isAmbiguous && type.isEmpty && partitionTable.isEmpty {
      return "signatures of several kinds that contradict each other"
    }
    if type.isEmpty {
      let table = partitionTable == "dos" ? "MBR" : partitionTable.uppercased()
      return partitionTable.isEmpty ? "an unknown signature" : "\(table) partition table"
    }
    let kind =
      switch usage {
      case "filesystem": " file system"
      case "raid": " volume member"
      case "crypto": " encrypted volume"
      default: ""
      }
    return type + kind + (label.isEmpty ? "" : " labelled \"\(label)\"")
  }

  /// The text in a C array of characters, up to its zero.
  private static func text<Characters>(of characters: inout Characters) -> String {
    unsafe withUnsafeBytes(of: &characters) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
