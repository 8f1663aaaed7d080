import Glibc

/// Reads one of the kernel's small text files.
enum SmallFile {
  /// The first 4096 bytes without trailing white space; nil if the file cannot be read.
  static func read(_ path: String) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { _ = close(descriptor) }
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
      count = unsafe max(0, Glibc.read(descriptor, buffer.baseAddress, buffer.count))
    }
    let kept = bytes.reversed().drop { $0 == 0x0A || $0 == 0x20 || $0 == 0 }.reversed()
    return String(decoding: kept, as: UTF8.self)
  }
}
