import DiskFormat
import StorageUnits
import Testing

@Suite struct CountImageTests {
  private func withImage<Result>(
    shift: UInt8, _ body: (CountImage) throws -> Result
  ) rethrows -> Result {
    let layout = NodeSegmentLayout(segmentShift: shift)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: layout.imageBytes, alignment: 4096)
    defer { unsafe memory.deallocate() }
    let image = unsafe CountImage(viewing: memory, layout: layout)
    image.clear()
    return try body(image)
  }

  @Test(arguments: [4, 9, 10, 11, 14] as [UInt8])
  func countsRoundTrip(shift: UInt8) throws {
    var random = SeededRandom(seed: UInt64(shift))
    try withImage(shift: shift) { (image) throws in
      var counts = [UInt32](repeating: 0, count: image.layout.blocks)
      for block in image.layout.firstUsableBlock..<image.layout.blocks {
        counts[block] = UInt32(random.number(below: 1 << 24))
        image.setCount(counts[block], ofBlock: block)
      }
      let segment = SegmentIndex(index: 3)
      let checksum = image.seal(segment: segment, image: 1, pool: Golden.pool, checkpoint: 17)
      #expect(image.wholeChecksum == checksum)
      try image.open(segment: segment, image: 1, pool: Golden.pool, checksum: checksum)
      for (block, count) in counts.enumerated() { #expect(image.count(ofBlock: block) == count) }
    }
  }

  @Test func anImageOfAnotherPlaceIsRefused() throws {
    try withImage(shift: 11) { (image) throws in
      let segment = SegmentIndex(index: 3)
      let checksum = image.seal(segment: segment, image: 0, pool: Golden.pool, checkpoint: 17)
      func error(
        segment: UInt32 = 3, image which: Int = 0, pool: UInt64 = Golden.pool, checksum: UInt32
      ) -> FormatError? {
        do throws(FormatError) {
          try image.open(
            segment: SegmentIndex(index: segment), image: which, pool: pool, checksum: checksum)
          return nil
        } catch {
          return error
        }
      }
      #expect(error(checksum: checksum) == nil)
      #expect(error(checksum: checksum ^ 1) == .badChecksum(.node))
      #expect(error(segment: 4, checksum: checksum) == .badField(.node, "key"))
      #expect(error(image: 1, checksum: checksum) == .badField(.node, "address"))
      #expect(error(pool: 1, checksum: checksum) == .badField(.node, "pool"))
    }
  }

  @Test func countsOfTheImagesThemselvesAndBeyondTheEndAreZero() throws {
    try withImage(shift: 4) { (image) throws in
      let segment = SegmentIndex(index: 3)
      for (index, name) in [(1, "countOfImage"), (16, "countBeyondEnd")] {
        image.clear()
        image.page(0).setCount(1, index)
        let checksum = image.seal(segment: segment, image: 0, pool: Golden.pool, checkpoint: 17)
        #expect(throws: FormatError.badField(.node, name)) {
          try image.open(segment: segment, image: 0, pool: Golden.pool, checksum: checksum)
        }
      }
    }
  }

  @Test func everyBitOfAnImageIsCovered() {
    withImage(shift: 11) { image in
      image.setCount(5, ofBlock: 2000)
      let segment = SegmentIndex(index: 3)
      let checksum = image.seal(segment: segment, image: 0, pool: Golden.pool, checkpoint: 17)
      for page in 0..<2 {
        for bit in 0..<4096 * 8 {
          let node = image.page(page)
          node.store8(node.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
          #expect(image.wholeChecksum != checksum)
          node.store8(node.load8(bit / 8) ^ 1 << UInt8(bit % 8), bit / 8)
        }
      }
    }
  }
}
