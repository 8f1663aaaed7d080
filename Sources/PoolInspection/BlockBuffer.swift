import DiskFormat
import Glibc

/// Aligned memory for what is read from a device, in 4 KiB blocks.
@safe final class BlockBuffer {
  private let base: UnsafeMutableRawPointer
  let blockCount: Int

  init(blockCount: Int) {
    self.blockCount = blockCount
    unsafe base = .allocate(
      byteCount: blockCount * FormatConstants.blockBytes, alignment: FormatConstants.blockBytes)
    unsafe base.initializeMemory(
      as: UInt8.self, repeating: 0, count: blockCount * FormatConstants.blockBytes)
  }

  deinit { unsafe base.deallocate() }

  var bytes: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(
      start: base, count: blockCount * FormatConstants.blockBytes)
  }

  /// Block `index` as a node: a view that is valid while the buffer lives.
  func node(_ index: Int = 0) -> NodeImage {
    precondition(index >= 0 && index < blockCount)
    return unsafe NodeImage(viewing: base + index * FormatConstants.blockBytes)
  }

  func countImage(_ layout: NodeSegmentLayout) -> CountImage {
    precondition(blockCount >= layout.pagesPerImage)
    return unsafe CountImage(viewing: base, layout: layout)
  }

  var isZero: Bool {
    unsafe UnsafeRawBufferPointer(bytes).bindMemory(to: UInt64.self).allSatisfy { $0 == 0 }
  }

  func hasSameBytes(as other: BlockBuffer) -> Bool {
    precondition(blockCount == other.blockCount)
    return unsafe memcmp(base, other.base, blockCount * FormatConstants.blockBytes) == 0
  }
}
