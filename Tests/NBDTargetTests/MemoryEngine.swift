import BlockExport
import Glibc
import StorageUnits
import Testing

/// An engine whose volumes are arrays: it answers when it is told to, in any order, and checks what
/// every target owes the engine.
final class MemoryEngine {
  var contents: [VolumeID: [UInt8]] = [:]
  private(set) var pending: [ExportRequest] = []
  private(set) var requestCount = 0
  /// The next answers to requests that touch this byte are errors.
  var failures: [UInt64: ExportError] = [:]
  var extents: [BlockStatusExtent] = []
  /// Reads of nothing but zeros are answered with the hint.
  var hintsZeros = false

  func take(_ request: ExportRequest) {
    requestCount += 1
    check(request)
    pending.append(request)
  }

  private func check(_ request: ExportRequest) {
    switch request.operation {
    case .read, .write:
      guard let range = Self.blocks(request) else {
        Issue.record("data without a buffer")
        return
      }
      #expect(request.length > 0)
      let window = UInt64(ExportLimits.windowBytes)
      #expect(request.offset / window == (request.offset + request.length - 1) / window)
      #expect(UInt64(UInt(bitPattern: unsafe request.buffer)) % 4096 == request.offset % 4096)
      for other in pending {
        if let taken = Self.blocks(other) {
          #expect(!taken.overlaps(range), "two requests share a block of a buffer")
        }
      }
    case .flush, .discard, .writeZeroes, .blockStatus:
      #expect(unsafe request.buffer == nil)
    }
    #expect(!pending.contains { $0.token == request.token })
  }

  private static func blocks(_ request: ExportRequest) -> Range<UInt>? {
    guard let buffer = unsafe request.buffer else { return nil }
    let first = UInt(bitPattern: buffer)
    return first / 4096..<(first + UInt(request.length) + 4095) / 4096
  }

  /// Carries out the pending request at `index` and gives its answer.
  func answer(_ index: Int) -> ExportAnswer {
    let request = pending.remove(at: index)
    let end = request.offset + request.length
    if let failure = failures.first(where: { $0.key >= request.offset && $0.key < end }) {
      return ExportAnswer(token: request.token, error: failure.value)
    }
    guard contents[request.volume] != nil else {
      return ExportAnswer(token: request.token, error: .volumeGone)
    }
    var answer = ExportAnswer(token: request.token, error: nil)
    let range = Int(request.offset)..<Int(end)
    switch request.operation {
    case .read:
      answer.readsAsZeros = read(request, range) && hintsZeros
    case .write:
      if let buffer = unsafe request.buffer {
        unsafe contents[request.volume]?.overwrite(
          range, with: UnsafeRawBufferPointer(start: buffer, count: range.count))
      }
    case .discard, .writeZeroes:
      unsafe contents[request.volume]?.overwrite(range, with: nil)
    case .flush: break
    case .blockStatus:
      answer.extentCount = extents.count
    }
    return answer
  }

  private func read(_ request: ExportRequest, _ range: Range<Int>) -> Bool {
    guard let buffer = unsafe request.buffer else { return false }
    var isZero = true
    unsafe contents[request.volume]?.withUnsafeBytes { bytes in
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[range])
      unsafe buffer.copyMemory(
        from: part.baseAddress ?? UnsafeRawPointer(buffer), byteCount: part.count)
      if hintsZeros, let base = part.baseAddress {
        // Each byte equals the next, and the first is zero. (A loop is slow in debug builds.)
        isZero = unsafe part[0] == 0 && memcmp(base, base + 1, part.count - 1) == 0
      }
    }
    return isZero
  }
}

/// Without loops over bytes, which are slow in debug builds.
extension Array where Element == UInt8 {
  /// Copies the bytes, or zeros if there are none, over the range.
  mutating func overwrite(_ range: Range<Int>, with bytes: UnsafeRawBufferPointer?) {
    unsafe withUnsafeMutableBytes { all in
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: all[range])
      if let bytes = unsafe bytes {
        unsafe part.copyMemory(from: bytes)
      } else if let base = part.baseAddress {
        unsafe memset(base, 0, part.count)
      }
    }
  }

  func equals(_ other: [UInt8]) -> Bool {
    guard count == other.count, count > 0 else { return count == other.count }
    return unsafe withUnsafeBytes { a in
      unsafe other.withUnsafeBytes { b in
        guard let a = a.baseAddress, let b = b.baseAddress else { return false }
        return unsafe memcmp(a, b, count) == 0
      }
    }
  }
}
