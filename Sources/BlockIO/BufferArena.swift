import Glibc

/// One buffer of an arena.
@frozen public struct BufferIndex: Hashable, Sendable {
  /// Small buffers count from 0, windows follow them.
  public var index: UInt32

  @inlinable public init(index: UInt32) { self.index = index }
}

/// The data path's memory, taken once: small buffers for requests up to 4 KiB and windows for parts
/// of long ones. Taking and giving are O(1); nothing ever grows.
///
/// Each class has room for one 4096-byte block more than its payload, so that a payload may start
/// at any byte of a block and the whole blocks that it touches lie in the buffer. One thread.
@safe public final class BufferArena {
  /// A payload of 4 KiB at any alignment.
  public static let smallBytes = 8192
  /// A payload of 1 MiB at any alignment.
  public static let windowBytes = (1 << 20) + 4096

  public let smallCount: Int
  public let windowCount: Int

  // Safe: the mapping lives as long as the arena, and indices are checked against the counts.
  private let base: UnsafeMutableRawPointer
  private let mappedBytes: Int
  private let windowBase: UnsafeMutableRawPointer
  private let freeSmall: UnsafeMutablePointer<UInt32>
  private let freeWindow: UnsafeMutablePointer<UInt32>
  private let isTaken: UnsafeMutablePointer<Bool>
  private var freeSmallTotal: Int
  private var freeWindowTotal: Int

  /// Maps the memory; nil if the system has not so much. Pages are touched at first use, or now if
  /// `populate`.
  public init?(smallCount: Int, windowCount: Int, populate: Bool = false) {
    precondition(smallCount >= 0)
    precondition(windowCount >= 0)
    precondition(smallCount + windowCount < Int(UInt32.max))
    let smallTotal = smallCount * Self.smallBytes
    let bytes = max(4096, smallTotal + windowCount * Self.windowBytes)
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | (populate ? Int32(MAP_POPULATE) : 0)
    let mapped = unsafe mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let base = unsafe mapped, unsafe base != MAP_FAILED else { return nil }
    // Fewer TLB misses; the kernel may ignore it.
    unsafe madvise(base, bytes, MADV_HUGEPAGE)
    unsafe self.base = base
    mappedBytes = bytes
    unsafe windowBase = base + smallTotal
    self.smallCount = smallCount
    self.windowCount = windowCount
    freeSmallTotal = smallCount
    freeWindowTotal = windowCount
    unsafe freeSmall = .allocate(capacity: max(1, smallCount))
    unsafe freeWindow = .allocate(capacity: max(1, windowCount))
    unsafe isTaken = .allocate(capacity: max(1, smallCount + windowCount))
    unsafe isTaken.initialize(repeating: false, count: max(1, smallCount + windowCount))
    // Lowest first, so that a lightly loaded server touches few pages.
    for i in 0..<smallCount { unsafe freeSmall[i] = UInt32(smallCount - 1 - i) }
    for i in 0..<windowCount {
      unsafe freeWindow[i] = UInt32(smallCount + windowCount - 1 - i)
    }
  }

  deinit {
    unsafe munmap(base, mappedBytes)
    unsafe freeSmall.deallocate()
    unsafe freeWindow.deallocate()
    unsafe isTaken.deallocate()
  }

  public var freeSmallCount: Int { freeSmallTotal }
  public var freeWindowCount: Int { freeWindowTotal }

  /// A small buffer, or nil if all are taken. Its bytes are what its last user left.
  public func takeSmall() -> BufferIndex? {
    guard freeSmallTotal > 0 else { return nil }
    freeSmallTotal &-= 1
    return take(unsafe freeSmall[freeSmallTotal])
  }

  /// A window, or nil if all are taken. Its bytes are what its last user left.
  public func takeWindow() -> BufferIndex? {
    guard freeWindowTotal > 0 else { return nil }
    freeWindowTotal &-= 1
    return take(unsafe freeWindow[freeWindowTotal])
  }

  @inline(__always) private func take(_ index: UInt32) -> BufferIndex {
    unsafe isTaken[Int(index)] = true
    return BufferIndex(index: index)
  }

  /// Gives a taken buffer back, once.
  public func give(_ buffer: BufferIndex) {
    let index = Int(buffer.index)
    precondition(index < smallCount + windowCount, "not a buffer of this arena")
    precondition(unsafe isTaken[index], "a buffer was given back twice")
    unsafe isTaken[index] = false
    if index < smallCount {
      unsafe freeSmall[freeSmallTotal] = buffer.index
      freeSmallTotal &+= 1
    } else {
      unsafe freeWindow[freeWindowTotal] = buffer.index
      freeWindowTotal &+= 1
    }
  }

  /// The buffer's first byte, 4096-byte aligned; valid while the arena lives.
  public func pointer(_ buffer: BufferIndex) -> UnsafeMutableRawPointer {
    let index = Int(buffer.index)
    precondition(index < smallCount + windowCount, "not a buffer of this arena")
    return unsafe index < smallCount
      ? base + index &* Self.smallBytes
      : windowBase + (index &- smallCount) &* Self.windowBytes
  }

  /// The buffer's size in bytes.
  public func byteCount(_ buffer: BufferIndex) -> Int {
    Int(buffer.index) < smallCount ? Self.smallBytes : Self.windowBytes
  }
}
