/// A fixed number of values in memory of their own, reached by index.
///
/// A table is taken at start, so that nothing is allocated per request, and its elements lie behind
/// a pointer, so that changing one costs no exclusivity check (which is what a property of a class
/// costs).
@safe struct SlotTable<Element> {
  /// Freed by the owner through `deallocate`; never leaves the table.
  private let base: UnsafeMutablePointer<Element>
  let count: Int

  init(count: Int, repeating element: Element) {
    precondition(count >= 0)
    unsafe base = .allocate(capacity: count)
    unsafe base.initialize(repeating: element, count: count)
    self.count = count
  }

  /// Ends the table's life; nothing of it may be used afterwards.
  func deallocate() {
    unsafe base.deinitialize(count: count)
    unsafe base.deallocate()
  }

  subscript(index: Int) -> Element {
    @inline(__always) _read {
      precondition(index >= 0 && index < count)
      yield unsafe base[index]
    }
    @inline(__always) nonmutating _modify {
      precondition(index >= 0 && index < count)
      yield unsafe &base[index]
    }
  }
}

/// Which indices of a table are free: a stack.
struct FreeIndices {
  private let indices: SlotTable<Int32>
  /// One element: how many are free. Behind a pointer for the reason that `SlotTable` gives.
  private let used: SlotTable<Int>
  let capacity: Int

  init(count: Int) {
    indices = SlotTable(count: count, repeating: 0)
    for i in 0..<count { indices[i] = Int32(count - 1 - i) }
    used = SlotTable(count: 1, repeating: count)
    capacity = count
  }

  func deallocate() {
    indices.deallocate()
    used.deallocate()
  }

  var freeCount: Int { used[0] }

  /// A free index, which is free no longer; the caller has seen that there is one.
  func take() -> Int {
    let count = used[0]
    precondition(count > 0)
    used[0] = count &- 1
    return Int(indices[count &- 1])
  }

  func giveBack(_ index: Int) {
    let count = used[0]
    precondition(count < capacity)
    indices[count] = Int32(truncatingIfNeeded: index)
    used[0] = count &+ 1
  }
}
