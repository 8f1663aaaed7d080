/// A first-in, first-out queue of fixed capacity, allocated once.
///
/// One thread uses it. Adding to a full queue is a programming error: whoever adds has made sure of
/// a place before (a request slot, a command slot).
@safe public final class FixedQueue<Element> {
  // Owned by the queue from init to deinit; indices are masked, so every access is in bounds.
  private let storage: UnsafeMutablePointer<Element>
  private let mask: Int
  private var head = 0
  private var tail = 0

  /// Holds at least `minimumCapacity` elements.
  init(minimumCapacity: Int) {
    var size = 1
    while size < minimumCapacity { size *= 2 }
    mask = size - 1
    unsafe storage = .allocate(capacity: size)
  }

  deinit {
    while removeFirst() != nil {}
    unsafe storage.deallocate()
  }

  public var isEmpty: Bool { head == tail }
  public var count: Int { tail &- head }
  var capacity: Int { mask + 1 }

  func append(_ element: Element) {
    precondition(count <= mask, "the queue is full")
    unsafe (storage + (tail & mask)).initialize(to: element)
    tail &+= 1
  }

  /// The oldest element, or nil if there is none.
  public func removeFirst() -> Element? {
    guard head != tail else { return nil }
    let element = unsafe (storage + (head & mask)).move()
    head &+= 1
    return element
  }
}
