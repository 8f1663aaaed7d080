import BlockExport

/// The names that clients may use, the empty one among them.
struct NBDExports {
  let directory: any ExportDirectory
  /// What the empty name stands for; nil: the only volume, if there is only one.
  let defaultExport: String?

  func names() -> [String] { directory.exportNames() }

  /// The export of a name as a client sent it; nil for one that is not valid UTF-8, too.
  func resolve(_ name: [UInt8]) -> ExportDescription? {
    guard let text = String(validating: name, as: UTF8.self) else { return nil }
    guard text.isEmpty else { return directory.export(named: text) }
    if let defaultExport { return directory.export(named: defaultExport) }
    // Snapshots are exports of their own and never meant by the empty name.
    let volumes = directory.exportNames().filter { !$0.contains("@") }
    guard volumes.count == 1 else { return nil }
    return directory.export(named: volumes[0])
  }
}
