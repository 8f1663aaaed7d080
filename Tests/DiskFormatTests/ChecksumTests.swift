import CChecksum
import DiskFormat
import Testing

@Suite struct ChecksumTests {
  private func checksum(_ bytes: [UInt8], continuing: UInt32 = 0) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe Checksum.crc32c($0, continuing: continuing) }
  }

  /// RFC 3720 appendix B.4, and the check value of the CRC catalogue.
  @Test func knownVectors() {
    #expect(checksum([]) == 0)
    #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
    #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(checksum((0..<32).reversed().map { UInt8($0) }) == 0x113F_DB5C)
  }

  @Test func everyLengthAndAlignmentAgreesWithTheTable() {
    var random = SeededRandom(seed: 1)
    let bytes = random.bytes(count: 9000)
    unsafe bytes.withUnsafeBytes { buffer in
      for _ in 0..<3000 {
        let start = Int.random(in: 0..<64, using: &random)
        let length = Int.random(in: 0...(buffer.count - start), using: &random)
        let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[start..<start + length])
        let before = UInt32.random(in: 0...UInt32.max, using: &random)
        let byTable = unsafe lamina_crc32c_by_table(before, part.baseAddress, part.count)
        #expect(unsafe Checksum.crc32c(part, continuing: before) == byTable)
      }
      for length in 0..<2100 {
        let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[3..<3 + length])
        let byTable = unsafe lamina_crc32c_by_table(0, part.baseAddress, length)
        #expect(unsafe Checksum.crc32c(part) == byTable)
      }
    }
  }

  @Test func aChecksumContinuesWhereAnotherEnded() {
    var random = SeededRandom(seed: 2)
    let bytes = random.bytes(count: 8192)
    let whole = checksum(bytes)
    for cut in [0, 1, 7, 60, 64, 4032, 4096, 8191, 8192] {
      let first = checksum(Array(bytes[..<cut]))
      #expect(checksum(Array(bytes[cut...]), continuing: first) == whole)
    }
  }

  @Test func theOwnFieldOfAStructureCountsAsZero() {
    var random = SeededRandom(seed: 3)
    var bytes = random.bytes(count: 4096)
    for field in [0, 12, 60, 92, 4092] {
      let without = unsafe bytes.withUnsafeBytes {
        unsafe lamina_crc32c_without_field($0.baseAddress, $0.count, field)
      }
      bytes.replaceSubrange(field..<field + 4, with: [0, 0, 0, 0])
      #expect(without == checksum(bytes))
    }
  }
}
