/// A hash table from nonzero 64-bit keys to slot indices: open addressing, linear probing, backward
/// shift on removal. It grows by doubling and never shrinks.
@safe final class IndexTable {
  private var keys: UnsafeMutablePointer<UInt64>
  private var values: UnsafeMutablePointer<Int32>
  private var mask: Int
  private(set) var count = 0

  init(minimumCapacity: Int) {
    var capacity = 64
    while capacity < minimumCapacity * 2 { capacity *= 2 }
    unsafe keys = .allocate(capacity: capacity)
    unsafe values = .allocate(capacity: capacity)
    unsafe keys.initialize(repeating: 0, count: capacity)
    unsafe values.initialize(repeating: 0, count: capacity)
    mask = capacity - 1
  }

  deinit {
    unsafe keys.deallocate()
    unsafe values.deallocate()
  }

  @inline(__always) private func home(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 20) & mask
  }

  /// The value of `key`, or -1.
  @inline(__always) func find(_ key: UInt64) -> Int {
    var i = home(key)
    while true {
      let k = unsafe keys[i]
      if k == key { return Int(unsafe values[i]) }
      if k == 0 { return -1 }
      i = (i &+ 1) & mask
    }
  }

  /// Adds a key that is not in the table.
  func insert(_ key: UInt64, _ value: Int) {
    precondition(key != 0)
    if (count + 1) * 2 > mask { grow() }
    var i = home(key)
    while unsafe keys[i] != 0 {
      precondition(unsafe keys[i] != key)
      i = (i &+ 1) & mask
    }
    unsafe keys[i] = key
    unsafe values[i] = Int32(value)
    count += 1
  }

  /// Removes a key that is in the table.
  func remove(_ key: UInt64) {
    var hole = home(key)
    while unsafe keys[hole] != key {
      precondition(unsafe keys[hole] != 0)
      hole = (hole &+ 1) & mask
    }
    var i = hole
    while true {
      i = (i &+ 1) & mask
      let k = unsafe keys[i]
      if k == 0 { break }
      // Move the key back if its home does not lie between the hole and its place.
      let distance = (i &- home(k)) & mask
      if distance >= (i &- hole) & mask {
        unsafe keys[hole] = k
        unsafe values[hole] = values[i]
        hole = i
      }
    }
    unsafe keys[hole] = 0
    count -= 1
  }

  private func grow() {
    let oldKeys = unsafe keys
    let oldValues = unsafe values
    let oldCapacity = mask + 1
    let capacity = oldCapacity * 2
    unsafe keys = .allocate(capacity: capacity)
    unsafe values = .allocate(capacity: capacity)
    unsafe keys.initialize(repeating: 0, count: capacity)
    unsafe values.initialize(repeating: 0, count: capacity)
    mask = capacity - 1
    count = 0
    for i in 0..<oldCapacity where unsafe oldKeys[i] != 0 {
      unsafe insert(oldKeys[i], Int(oldValues[i]))
    }
    unsafe oldKeys.deallocate()
    unsafe oldValues.deallocate()
  }
}
