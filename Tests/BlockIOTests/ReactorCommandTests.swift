import Glibc
import StorageUnits
import Testing

@testable import BlockIO

@Suite struct ReactorCommandTests {
  @Test(arguments: FileDevice.CacheMode.allCases)
  func whatIsWrittenIsReadBack(_ cache: FileDevice.CacheMode) throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 1 << 20, cache: cache)
    let reactor = try Reactor()
    try reactor.attach(device, as: firstDevice)
    let written = AlignedBuffer(65536, repeating: 0xA5)
    let read = AlignedBuffer(65536, repeating: 0xFF)
    #expect(reactor.complete(command(.write, at: 8192, written)) == 0)
    #expect(reactor.complete(command(.flush, at: 0, nil)) == 0)
    #expect(reactor.complete(command(.read, at: 4096, read)) == 0)
    #expect(
      read.contents
        == [UInt8](repeating: 0, count: 4096) + [UInt8](repeating: 0xA5, count: 61440))
  }

  @Test(arguments: FileDevice.CacheMode.allCases)
  func readsBeyondTheEndOfAFileGiveZeros(_ cache: FileDevice.CacheMode) throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 1 << 20, cache: cache)
    let reactor = try Reactor()
    try reactor.attach(device, as: firstDevice)
    let written = AlignedBuffer(4096, repeating: 7)
    #expect(reactor.complete(command(.write, at: 0, written)) == 0)
    let zeros = [UInt8](repeating: 0, count: 8192)
    for end in [off_t(4096), 4096 - 512, 100] {
      #expect(unsafe truncate(folder.file("d"), end) == 0)
      let read = AlignedBuffer(8192, repeating: 0xFF)
      #expect(reactor.complete(command(.read, at: 0, read)) == 0)
      #expect(read.contents.prefix(Int(end)).allSatisfy { $0 == 7 })
      #expect(read.contents.dropFirst(Int(end)).allSatisfy { $0 == 0 })
      let beyond = AlignedBuffer(8192, repeating: 0xFF)
      #expect(reactor.complete(command(.read, at: 65536, beyond)) == 0)
      #expect(beyond.contents == zeros)
    }
  }

  @Test func everyCommandCompletesOnceWhenTheyExceedTheSubmissionQueue() throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 4 << 20)
    let reactor = try Reactor(entries: 8, commandCapacity: 1000, connectionCapacity: 1)
    try reactor.attach(device, as: firstDevice)
    let buffer = AlignedBuffer(4096, repeating: 3)
    for token in 0..<1000 {
      reactor.submit(
        command(.write, at: UInt64(token) * 4096, buffer, token: UInt64(token)))
    }
    #expect(reactor.freeCommandSlotCount == 0)
    var seen = [Int](repeating: 0, count: 1000)
    var left = 1000
    while left > 0 {
      let token = reactor.next { event -> UInt64? in
        guard case .io(let completion) = event else { return nil }
        #expect(completion.errno == 0)
        return completion.token
      }
      seen[Int(try #require(token))] += 1
      left -= 1
    }
    #expect(seen.allSatisfy { $0 == 1 })
    #expect(reactor.freeCommandSlotCount == 1000)
  }

  @Test func reservedSpaceIsAllocatedAndAPunchedHoleReadsAsZeros() throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 4 << 20)
    let reactor = try Reactor()
    try reactor.attach(device, as: firstDevice)
    #expect(reactor.complete(command(.reserveSpace, at: 0, nil, length: 1 << 20)) == 0)
    #expect(try allocatedBytes(folder.file("d")) >= 1 << 20)
    let buffer = AlignedBuffer(65536, repeating: 9)
    #expect(reactor.complete(command(.write, at: 0, buffer)) == 0)
    #expect(reactor.complete(command(.punchHole, at: 0, nil, length: 1 << 20)) == 0)
    #expect(try allocatedBytes(folder.file("d")) < 1 << 20)
    #expect(reactor.complete(command(.read, at: 0, buffer)) == 0)
    #expect(buffer.contents.allSatisfy { $0 == 0 })
  }

  @Test func aRefusedWriteReportsItsErrno() throws {
    let folder = try TemporaryFolder()
    let made = try FileDevice.create(folder.file("d"), sizeBytes: 1 << 20)
    try made.close()
    let device = try FileDevice.open(folder.file("d"), access: .readOnly, exclusion: .shared)
    let reactor = try Reactor()
    try reactor.attach(device, as: firstDevice)
    #expect(reactor.complete(command(.write, at: 0, AlignedBuffer(4096))) == EBADF)
  }

  @Test func aDeviceIndexMayBeAnyOfItsSixteenBits() throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 1 << 20)
    let reactor = try Reactor()
    let index = DeviceIndex(index: 65535)
    try reactor.attach(device, as: index)
    #expect(reactor.complete(command(.read, at: 0, AlignedBuffer(4096), device: index)) == 0)
    reactor.detach(index)
    try reactor.attach(device, as: firstDevice)
    #expect(reactor.complete(command(.read, at: 0, AlignedBuffer(4096))) == 0)
  }

  @Test func aTurnReturnsAtItsDeadline() throws {
    let reactor = try Reactor()
    let start = SystemClock.now()
    let deadline = start.adding(milliseconds: 20)
    while SystemClock.now() < deadline { reactor.turn(until: deadline) }
    #expect(reactor.nextEvent() == nil)
    #expect(SystemClock.now() < start.adding(milliseconds: 5000))
    reactor.turn(until: MonotonicTime(nanoseconds: 0))
    #expect(reactor.nextEvent() == nil)
  }

  private func allocatedBytes(_ path: String) throws -> Int {
    var s = stat()
    try #require(unsafe stat(path, &s) == 0)
    return Int(s.st_blocks) * 512
  }
}
