import Testing

@testable import PoolCore

@Suite struct IndexTableTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func theTableAgreesWithADictionary(seed: UInt64) {
    var random = TestRandom(state: seed)
    let table = IndexTable(minimumCapacity: 4)
    var model: [UInt64: Int] = [:]
    for _ in 0..<30_000 {
      // Few distinct keys, so that chains grow and shrink; some with the high bit.
      let key = (random.next() % 600 + 1) | (random.next() % 2) << 63
      if let value = model[key] {
        #expect(table.find(key) == value)
        if random.next() % 2 == 0 {
          table.remove(key)
          model[key] = nil
        }
      } else {
        #expect(table.find(key) == -1)
        let value = Int(random.next() % 1_000_000)
        table.insert(key, value)
        model[key] = value
      }
    }
    #expect(table.count == model.count)
    for (key, value) in model { #expect(table.find(key) == value) }
  }
}
