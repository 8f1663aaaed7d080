import BlockIO
import DiskFormat
import Foundation
import PoolCore
import StorageUnits
import Testing
import VolumeEngine

/// Creation and opening on real files.
@Suite struct OpeningFileTests {
  @Test(arguments: [FileDevice.CacheMode.buffered, .direct])
  func aPoolOnFilesOpensAgain(cache: FileDevice.CacheMode) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "lamina-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let devices: [FileDevice]
    do {
      devices = try [UInt64(64 << 20), 96 << 20].enumerated().map { index, size in
        try FileDevice.create("\(folder)/disk\(index)", sizeBytes: size, cache: cache)
      }
    } catch let error as DeviceOpenError where error.problem == .directNotSupported {
      // The folder for temporary files lies on a file system without direct I/O.
      return
    }
    let opening = Opening(host: "h", process: 1, at: 1)
    try PoolCreation.create(
      devices,
      settings: PoolCreation.Settings(
        name: "files", poolUUID: StorageUUID(high: 1, low: 1),
        deviceUUIDs: [StorageUUID(high: 2, low: 1), StorageUUID(high: 2, low: 2)], logNonce: 3,
        opening: opening))
    for nonce in 1...2 as ClosedRange<UInt64> {
      let opened = try unsafe PoolOpening.open(
        devices.reversed(),
        settings: PoolOpening.Settings(logNonce: nonce, opening: opening, bootID: nil))
      #expect(opened.pool.name == "files")
      #expect(opened.indices.map(\.index) == [1, 0])
      #expect(opened.journal.logGeneration == nonce + 1)
    }
  }
}
