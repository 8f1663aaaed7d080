import Testing

@testable import BlockIO

@Suite struct BufferArenaTests {
  @Test func buffersAreAlignedDistinctAndBounded() throws {
    let arena = try #require(BufferArena(smallCount: 5, windowCount: 3))
    var ranges: [(UInt, UInt)] = []
    var taken: [BufferIndex] = []
    while let buffer = arena.takeSmall() { taken.append(buffer) }
    #expect(taken.count == 5)
    while let buffer = arena.takeWindow() { taken.append(buffer) }
    #expect(taken.count == 8)
    #expect(arena.freeSmallCount == 0)
    #expect(arena.freeWindowCount == 0)
    for (i, buffer) in taken.enumerated() {
      #expect(arena.byteCount(buffer) == (i < 5 ? 8192 : (1 << 20) + 4096))
      let start = unsafe UInt(bitPattern: arena.pointer(buffer))
      #expect(start % 4096 == 0)
      ranges.append((start, start + UInt(arena.byteCount(buffer))))
      unsafe arena.pointer(buffer).initializeMemory(
        as: UInt8.self, repeating: UInt8(i), count: arena.byteCount(buffer))
    }
    ranges.sort { $0.0 < $1.0 }
    for i in 1..<ranges.count { #expect(ranges[i - 1].1 <= ranges[i].0) }
    for buffer in taken { arena.give(buffer) }
    #expect(arena.freeSmallCount == 5)
    #expect(arena.freeWindowCount == 3)
  }

  @Test func aBufferGivenBackTwiceStopsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      guard let arena = BufferArena(smallCount: 2, windowCount: 0),
        let buffer = arena.takeSmall()
      else { return }
      arena.give(buffer)
      arena.give(buffer)
    }
  }
}
