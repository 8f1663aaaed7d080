import Glibc
import StorageUnits
import Testing

@testable import BlockIO

/// A loop device over a sparse file of one test.
final class LoopDevice {
  let path: String
  let backing: String
  private let folder: TemporaryFolder

  /// Nil where loop devices, or ones with this sector size, are not to be had.
  init?(sizeBytes: UInt64, sectorBytes: Int) throws {
    folder = try TemporaryFolder()
    backing = folder.file("backing")
    try FileDevice.create(backing, sizeBytes: sizeBytes, cache: .buffered).close()
    let output = folder.file("losetup")
    let status = Command.run(
      "losetup", ["--show", "--find", "--sector-size", "\(sectorBytes)", backing], output: output)
    guard status == 0, let name = SmallFile.read(output), name.hasPrefix("/dev/loop") else {
      return nil
    }
    path = name
  }

  deinit { _ = Command.run("losetup", ["--detach", path]) }

  /// Only root may set loop devices up, and not in every container.
  static let isAvailable: Bool = {
    do { return try LoopDevice(sizeBytes: 1 << 20, sectorBytes: 4096) != nil } catch {
      return false
    }
  }()
}

@Suite(.enabled(if: LoopDevice.isAvailable, "needs loop devices with 4096-byte sectors (root)"))
struct BlockDeviceTests {
  @Test(arguments: [512, 4096])
  func aBlockDeviceIsServedWithItsOwnSizeAndSector(_ sector: Int) throws {
    let loop = try #require(try LoopDevice(sizeBytes: 8 << 20, sectorBytes: sector))
    let device = try FileDevice.open(loop.path)
    #expect(device.isBlockDevice)
    #expect(device.sizeBytes == 8 << 20)
    #expect(device.logicalBlockBytes == sector)
    let reactor = try Reactor()
    try reactor.attach(device, as: firstDevice)
    let written = AlignedBuffer(65536, repeating: 0x77)
    let read = AlignedBuffer(65536)
    #expect(reactor.complete(command(.reserveSpace, at: 0, nil, length: 1 << 20)) == 0)
    #expect(reactor.complete(command(.write, at: 1 << 20, written)) == 0)
    #expect(reactor.complete(command(.flush, at: 0, nil)) == 0)
    #expect(reactor.complete(command(.read, at: 1 << 20, read)) == 0)
    #expect(read.contents == written.contents)
    #expect(reactor.complete(command(.read, at: 8 << 20, read)) == EIO)
    reactor.shutDown()
  }

  @Test func discardsOfABlockDeviceCompleteOffTheReactorAndGiveTheSpaceBack() throws {
    let loop = try #require(try LoopDevice(sizeBytes: 8 << 20, sectorBytes: 4096))
    let device = try FileDevice.open(loop.path)
    let reactor = try Reactor()
    try reactor.attach(device, as: firstDevice)
    let written = AlignedBuffer(1 << 20, repeating: 0x77)
    for i in 0..<8 {
      #expect(reactor.complete(command(.write, at: UInt64(i) << 20, written)) == 0)
    }
    #expect(reactor.complete(command(.flush, at: 0, nil)) == 0)
    #expect(try allocatedBytes(loop.backing) >= 8 << 20)
    for i in 0..<8 {
      reactor.submit(
        command(.punchHole, at: UInt64(i) << 20, nil, length: 1 << 20, token: UInt64(i)))
    }
    var tokens: Set<UInt64> = []
    while tokens.count < 8 {
      let token = reactor.next { event -> UInt64? in
        guard case .io(let completion) = event else { return nil }
        #expect(completion.errno == 0)
        return completion.token
      }
      tokens.insert(try #require(token))
    }
    #expect(tokens == Set(0..<8))
    #expect(try allocatedBytes(loop.backing) == 0)
    reactor.shutDown()
  }

  @Test func aClaimedBlockDeviceIsRefusedUntilItIsClosed() throws {
    let loop = try #require(try LoopDevice(sizeBytes: 1 << 20, sectorBytes: 512))
    let first = try FileDevice.open(loop.path)
    let error = #expect(throws: DeviceOpenError.self) { try FileDevice.open(loop.path) }
    #expect(error?.problem == .heldByAnother)
    _ = try FileDevice.open(loop.path, access: .readOnly, exclusion: .none)
    try first.close()
    // A child that another test starts shares the claim for the moment between fork and exec.
    let limit = SystemClock.now().adding(milliseconds: 10_000)
    while SystemClock.now() < limit {
      do throws(DeviceOpenError) {
        _ = try FileDevice.open(loop.path)
        return
      } catch { try #require(error.problem == .heldByAnother) }
    }
    Issue.record("the claim was not given back")
  }

  @Test func aBlockDevicesSignatureIsFound() throws {
    let loop = try #require(try LoopDevice(sizeBytes: 8 << 20, sectorBytes: 4096))
    try #require(Command.run("mke2fs", ["-q", "-F", "-t", "ext4", loop.path]) == 0)
    #expect(try DeviceSignature.probe(loop.path) == "ext4 file system")
  }

  private func allocatedBytes(_ path: String) throws -> Int {
    var s = stat()
    try #require(unsafe stat(path, &s) == 0)
    return Int(s.st_blocks) * 512
  }
}
