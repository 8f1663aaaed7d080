import Glibc
import Testing

@testable import BlockIO

@Suite struct MappedFileTests {
  @Test func whatIsStoredOutlivesTheMapping() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("tail")
    let first = try MappedFile.create(path, byteCount: 65536)
    #expect(!first.isInMemory)
    unsafe #expect(first.pointer.load(as: UInt64.self) == 0)
    unsafe first.pointer.storeBytes(of: 0xFEED, toByteOffset: 65528, as: UInt64.self)
    first.close()
    let second = try MappedFile.open(path)
    #expect(second.byteCount == 65536)
    unsafe #expect(second.pointer.load(fromByteOffset: 65528, as: UInt64.self) == 0xFEED)
  }

  @Test func bytesOfAnEarlierProcessAreNeverOverwrittenUnread() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("tail")
    let first = try MappedFile.create(path, byteCount: 4096)
    let taken = #expect(throws: DeviceError.self) {
      try MappedFile.create(path, byteCount: 8192)
    }
    #expect(taken?.errno == EEXIST)
    let held = #expect(throws: DeviceError.self) { try MappedFile.open(path) }
    #expect(held?.operation == .lock)
    try first.unlink()
    let missing = #expect(throws: DeviceError.self) { try MappedFile.open(path) }
    #expect(missing?.errno == ENOENT)
  }

  @Test func aFileThatWasNeverMadeHoldsNoData() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("tail")
    #expect(close(unsafe open(path, O_CREAT | O_WRONLY, 0o600)) == 0)
    let empty = #expect(throws: DeviceError.self) { try MappedFile.open(path) }
    #expect(empty?.errno == ENODATA)
  }

  @Test func aFileOnTmpfsIsInMemory() throws {
    let path = "/dev/shm/lamina-blockio-\(getpid())-\(SystemRandom.bits64())"
    let file = try MappedFile.create(path, byteCount: 4096)
    #expect(file.isInMemory)
    try file.unlink()
  }
}
