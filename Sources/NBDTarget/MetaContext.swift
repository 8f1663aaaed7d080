import BlockExport

/// What block status can be asked about: an own identifier in each session, from 1.
public struct MetaContext: Hashable, Sendable {
  var id: UInt32
  /// Nil: `base:allocation`. Else bit 0 of a descriptor says that it changed since the base.
  var base: ExportBase?
}

/// The names of contexts (`Docs/Protocols/NBD.md`).
enum MetaContextName {
  static let allocation = "base:allocation"
  static let difference = "lamina:diff:"
  /// What QEMU's clients understand: bit 0 is dirty there, too.
  static let dirtyBitmap = "qemu:dirty-bitmap:"
  /// Contexts that one session may select.
  static let selectedAtMost = 16
  /// Bases that a list names.
  static let listedBasesAtMost = 256

  /// The contexts of an export that a query of `NBD_OPT_LIST_META_CONTEXT` means.
  static func listed(
    _ query: String, of export: ExportDescription, _ directory: any ExportDirectory
  ) -> [String] {
    var names: [String] = []
    if query == "base:" || query == allocation { names.append(allocation) }
    for prefix in [difference, dirtyBitmap] {
      let namespace = prefix.prefix { $0 != ":" } + ":"
      if query == namespace || query == prefix {
        names += all(prefix, of: export, directory)
      } else if query.hasPrefix(prefix), base(of: query, of: export, directory) != nil {
        names.append(query)
      }
    }
    return names
  }

  /// All of them, for a list without queries.
  static func listed(
    of export: ExportDescription, _ directory: any ExportDirectory
  ) -> [String] {
    [allocation] + all(difference, of: export, directory)
      + all(dirtyBitmap, of: export, directory)
  }

  private static func all(
    _ prefix: String, of export: ExportDescription, _ directory: any ExportDirectory
  ) -> [String] {
    directory.changeBases(of: export.volume, atMost: listedBasesAtMost).map { prefix + $0.name }
  }

  /// The base that a context's full name means; nil if there is none.
  static func base(
    of name: String, of export: ExportDescription, _ directory: any ExportDirectory
  ) -> ExportBase? {
    for prefix in [difference, dirtyBitmap] where name.hasPrefix(prefix) {
      return directory.changeBase(
        named: String(name.dropFirst(prefix.count)), of: export.volume)
    }
    return nil
  }
}
