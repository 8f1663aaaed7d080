import CDigest

/// What a whole volume holds, in 32 bytes: the same for the same contents, however they are laid
/// out, and cheap for large volumes that hold little.
///
/// SHA-256 over every block of 4096 bytes that is not all zeros, in ascending order, each behind
/// its number (`u64`), and at last over the volume's size (`u64`); see `Docs/StreamFormat.md`.
public struct VolumeDigest: Hashable, Sendable, CustomStringConvertible {
  public let bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    precondition(bytes.count == StreamFormat.digestBytes)
    self.bytes = bytes
  }

  public var description: String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}

/// The digest of a volume in the making.
@safe public final class VolumeHash: @unchecked Sendable {
  // Sendable: whoever makes one uses it from one task, and the context is its own.
  private let context: OpaquePointer
  private var next: UInt64 = 0

  public init() {
    guard let context = unsafe lamina_sha256_create() else {
      fatalError("libcrypto has no SHA-256")
    }
    unsafe self.context = unsafe context
  }

  deinit { unsafe lamina_sha256_destroy(context) }

  /// Goes on with the bytes of the volume from `offset` on, a multiple of 4096: whole blocks, or up
  /// to the volume's end. Blocks come in ascending order; those that are left out are zeros.
  public func add(offset: UInt64, _ bytes: UnsafeRawBufferPointer) {
    precondition(offset % UInt64(StreamFormat.blockBytes) == 0)
    var at = 0
    var block = offset / UInt64(StreamFormat.blockBytes)
    precondition(block >= next, "blocks come in ascending order")
    while at < bytes.count {
      let count = min(StreamFormat.blockBytes, bytes.count - at)
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[at..<at + count])
      if unsafe !Self.isZero(part) { unsafe add(block, part) }
      at += count
      block += 1
    }
    next = block
  }

  private func add(_ block: UInt64, _ bytes: UnsafeRawBufferPointer) {
    addNumber(block)
    unsafe update(bytes)
    let missing = StreamFormat.blockBytes - bytes.count
    if missing > 0 {
      let zeros = [UInt8](repeating: 0, count: missing)
      unsafe zeros.withUnsafeBytes { unsafe update($0) }
    }
  }

  private func addNumber(_ number: UInt64) {
    unsafe withUnsafeBytes(of: number.littleEndian) { unsafe update($0) }
  }

  private func update(_ bytes: UnsafeRawBufferPointer) {
    let status = unsafe lamina_sha256_update(context, bytes.baseAddress, bytes.count)
    precondition(status == 0, "libcrypto refused to go on")
  }

  /// The digest of a volume of this size. Nothing may be added afterwards.
  public func finish(sizeBytes: UInt64) -> VolumeDigest {
    addNumber(sizeBytes)
    var result = [UInt8](repeating: 0, count: StreamFormat.digestBytes)
    let status = unsafe lamina_sha256_finish(context, &result)
    precondition(status == 0, "libcrypto refused to end")
    return VolumeDigest(result)
  }

  /// Whether all bytes are zero.
  public static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var at = 0
    while at + 8 <= bytes.count {
      if unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) != 0 { return false }
      at += 8
    }
    while at < bytes.count {
      if unsafe bytes[at] != 0 { return false }
      at += 1
    }
    return true
  }
}
