import DiskFormat

/// An input of the format's target: a byte that says which structure the rest is, one that says how
/// it is prepared, and the structure's bytes.
struct FormatInput {
  enum Structure: UInt8, CaseIterable {
    case superblock, node, countImage, journalBlock, record, tailHeader, tailFrame
  }

  /// What is made right before the bytes are decoded. Nearly all random bytes fail at the checksum,
  /// so without this nothing behind it would be reached.
  enum Preparation: UInt8, CaseIterable {
    /// The checksum.
    case mended
    /// Nothing.
    case raw
    /// Every header field too, where the structure has a way to set them all.
    case sealed
  }

  var structure: Structure
  var preparation: Preparation
  var bytes: [UInt8]

  init?(_ input: [UInt8]) {
    guard input.count >= 2 else { return nil }
    let structures = UInt8(Structure.allCases.count)
    let preparations = UInt8(Preparation.allCases.count)
    guard let structure = Structure(rawValue: input[0] % structures),
      let preparation = Preparation(rawValue: input[1] % preparations)
    else { return nil }
    self.structure = structure
    self.preparation = preparation
    bytes = Array(input[2...])
  }

  /// The bytes, cut or filled with zeros to the size that the structure has.
  func resized(to count: Int) -> [UInt8] {
    Array(bytes.prefix(count)) + [UInt8](repeating: 0, count: max(0, count - bytes.count))
  }
}

/// Bytes with the checksum that belongs to them.
enum Mending {
  /// The little-endian checksum of the first `count` bytes at `field`, which counts as zero.
  static func mend(_ bytes: inout [UInt8], field: Int, count: Int? = nil) {
    let count = count ?? bytes.count
    guard field + 4 <= count, count <= bytes.count else { return }
    for i in 0..<4 { bytes[field + i] = 0 }
    let checksum = unsafe bytes.withUnsafeBytes {
      unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[..<count]))
    }
    for i in 0..<4 { bytes[field + i] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * i)) }
  }
}

/// Memory of the size and alignment that nodes and journal blocks have.
@safe final class BlockMemory {
  let base: UnsafeMutableRawPointer
  let count: Int

  init(_ bytes: [UInt8]) {
    count = bytes.count
    unsafe base = .allocate(byteCount: max(1, bytes.count), alignment: 4096)
    unsafe bytes.withUnsafeBytes { source in
      unsafe UnsafeMutableRawBufferPointer(start: base, count: count).copyMemory(from: source)
    }
  }

  deinit { unsafe base.deallocate() }

  var node: NodeImage {
    precondition(count == FormatConstants.blockBytes)
    return unsafe NodeImage(viewing: base)
  }

  var bytes: [UInt8] { unsafe Array(UnsafeRawBufferPointer(start: base, count: count)) }
}
