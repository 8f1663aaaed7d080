import DiskFormat
import StorageUnits
import Testing

@Suite struct MapEntryValidationTests {
  private static func layer(_ block: UInt64, _ mask: UInt16, _ flags: UInt8 = 0) -> Layer {
    Layer(
      address: PoolAddress(block: block), mask: BlockMask(bits: mask), flags: flags,
      birth: ShareEpoch(1))
  }

  private func error(_ upper: Layer, _ lower: Layer) -> FormatError? {
    do throws(FormatError) {
      try MapEntry(upper: upper, lower: lower).validate()
      return nil
    } catch {
      return error
    }
  }

  @Test func entriesThatWritersMakeAreAccepted() {
    let good: [(Layer, Layer)] = [
      (.none, .none), (Self.layer(16, 1), .none), (Self.layer(16, 0xFFFF), .none),
      (.none, Self.layer(16, 1)), (Self.layer(16, 0, 1), .none),
      (Self.layer(16, 0, 1), Self.layer(32, 0xFFFF)),
      (Self.layer(16, 0x00FF), Self.layer(32, 0xFF00)),
      (Self.layer(0xFF_FFFF_FFF0, 1), Self.layer(0x13, 0xF0, 2)),
      (Self.layer(0x1F, 1, 2), Self.layer(0x10, 0xFFFE, 2)),
      (Layer(address: .none, mask: .none, birth: ShareEpoch(7)), .none),
      (Self.layer(16, 1), Layer(address: .none, mask: .none, birth: ShareEpoch(7))),
      (Self.layer(16, 0x00FF), Self.layer(32, 0xFF00, 0x80)),
    ]
    for (upper, lower) in good { #expect(error(upper, lower) == nil) }
  }

  @Test func entriesThatNoWriterMakesAreRefused() {
    let bad: [(Layer, Layer, FormatError)] = [
      (Self.layer(16, 3), Self.layer(32, 2), .badField(.node, "masks")),
      (Self.layer(16, 1), Self.layer(16, 2), .badField(.node, "layers")),
      (Self.layer(17, 1), .none, .badField(.node, "address")),
      (Self.layer(1 << 40, 1), .none, .badField(.node, "address")),
      (Self.layer(16, 0), .none, .badField(.node, "mask")),
      (Self.layer(0, 1), .none, .badField(.node, "emptyLayer")),
      (Self.layer(0, 0, 1), .none, .badField(.node, "emptyLayer")),
      (Self.layer(0x1F, 3, 2), .none, .badField(.node, "packedLayer")),
      (Self.layer(0x11, 0, 2), .none, .badField(.node, "packedLayer")),
      (Self.layer(0x11, 1, 3), .none, .badField(.node, "packedLayer")),
      (Self.layer(16, 1, 4), .none, .unknownKind(.node)),
      (Self.layer(16, 1, 6), .none, .unknownKind(.node)),
      (Self.layer(16, 1, 8), .none, .reservedNotZero(.node)),
      (Self.layer(16, 1, 0x80), .none, .reservedNotZero(.node)),
      (Self.layer(0, 0, 0x80), Self.layer(16, 1), .badField(.node, "emptyLayer")),
    ]
    for (upper, lower, expected) in bad {
      #expect(error(upper, lower) == expected)
      guard upper.address != lower.address else { continue }
      #expect(error(lower, upper) == expected)
    }
  }

  @Test func aPackedLayerFindsItsBlocksByTheirRank() {
    let layer = Self.layer(0x13, 0b1010_0100, 2)
    #expect(layer.address(ofBlock: 2) == PoolAddress(block: 0x13))
    #expect(layer.address(ofBlock: 5) == PoolAddress(block: 0x14))
    #expect(layer.address(ofBlock: 7) == PoolAddress(block: 0x15))
  }

  @Test func pointersOfMemoryAreRefused() throws {
    try NodePointer.none.validate()
    try NodePointer(address: .none, checksum: 0, birth: ShareEpoch(3)).validate()
    let inMemory = NodePointer(
      address: PoolAddress(block: 1), flags: NodePointer.memoryFlag, checksum: 0, birth: .zero)
    #expect(throws: FormatError.reservedNotZero(.node)) { try inMemory.validate() }
    let nullWithChecksum = NodePointer(address: .none, checksum: 1, birth: .zero)
    #expect(throws: FormatError.badField(.node, "checksum")) { try nullWithChecksum.validate() }
    let tooFar = NodePointer(address: PoolAddress(block: 1 << 40), checksum: 1, birth: .zero)
    #expect(throws: FormatError.badField(.node, "address")) { try tooFar.validate() }
  }
}
