import StorageUnits

/// A write (or hole punch) that is not durable yet.
@safe struct PendingWrite {
  /// Counts what was submitted to the device.
  let sequence: UInt64
  let offset: UInt64
  let length: Int
  /// Nil: zeros.
  let bytes: [UInt8]?
  /// Counts what was completed on the device; 0 while in flight.
  var completion: UInt64 = 0
  /// A flush that should have made it durable failed: no later flush will (Linux marks the pages
  /// clean after it has reported the error once).
  var isStuck = false
  /// The byte offsets on the device of its sectors that a later, durable write has replaced.
  var replacedSectors: Set<UInt64> = []

  func overlaps(at other: UInt64, count: Int) -> Bool {
    offset < other + UInt64(count) && other < offset + UInt64(length)
  }

  /// Writes the atoms of `fate` into `contents`.
  func apply(_ fate: WriteFate, atomBytes: Int, to contents: inout SparseBytes) {
    if fate == .whole && replacedSectors.isEmpty {
      put(at: 0, count: length, into: &contents)
      return
    }
    let atoms = (length + atomBytes - 1) / atomBytes
    for atom in 0..<atoms where fate.keeps(atom: atom, of: atoms) {
      for sector in stride(from: atom * atomBytes, to: min((atom + 1) * atomBytes, length), by: 512)
      where !replacedSectors.contains(offset + UInt64(sector)) {
        put(at: sector, count: 512, into: &contents)
      }
    }
  }

  /// Writes bytes `start ..< start + count` of the write into `contents`.
  func put(at start: Int, count: Int, into contents: inout SparseBytes) {
    guard let bytes else {
      contents.zero(at: offset + UInt64(start), count: count)
      return
    }
    unsafe bytes.withUnsafeBytes {
      unsafe contents.write(
        at: offset + UInt64(start), from: .init(rebasing: $0[start..<start + count]))
    }
  }
}
