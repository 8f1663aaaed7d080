/// One element for each volume slot, in plain memory: every request looks at its volume several
/// times, and an array in a class would be checked for exclusive access each time.
///
/// It grows and never shrinks. One thread.
@safe public final class VolumeSlotArray<Element> {
  // Owned from init to deinit; the subscript checks every index.
  @usableFromInline var base: UnsafeMutablePointer<Element>
  private var capacity = 16
  public private(set) var count = 0

  public init() { unsafe base = .allocate(capacity: 16) }

  deinit {
    unsafe base.deinitialize(count: count)
    unsafe base.deallocate()
  }

  public var indices: Range<Int> { 0..<count }

  public subscript(slot: Int) -> Element {
    @inlinable @inline(__always) _read {
      precondition(slot >= 0 && slot < count)
      yield unsafe base[slot]
    }
    @inlinable @inline(__always) _modify {
      precondition(slot >= 0 && slot < count)
      yield unsafe &base[slot]
    }
  }

  public func append(_ element: Element) {
    if count == capacity {
      let more = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
      unsafe more.moveInitialize(from: base, count: count)
      unsafe base.deallocate()
      unsafe base = more
      capacity *= 2
    }
    unsafe (base + count).initialize(to: element)
    count += 1
  }
}
