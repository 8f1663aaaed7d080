import Foundation
import ServerHarness
import Testing

extension InteropTests {
  @Suite struct FileSystemTests {
    /// A folder with files of odd sizes, for `mke2fs -d`.
    private func makeFiles(in folder: TemporaryFolder) throws -> String {
      let place = folder.path("files")
      try FileManager.default.createDirectory(
        atPath: place, withIntermediateDirectories: true)
      for index in 0..<28 {
        let length = index * index * 3001 + index
        let bytes = StampedBytes.random(length, seed: UInt64(index))
        try Data(bytes).write(to: URL(fileURLWithPath: "\(place)/file-\(index)"))
      }
      return place
    }

    private func makeImage(in folder: TemporaryFolder, size: UInt64) throws -> String {
      let image = try folder.sparseFile("fs.img", size: size)
      try folder.output(
        of: "mke2fs", ["-q", "-F", "-t", "ext4", "-d", makeFiles(in: folder), image])
      return image
    }

    @Test func anExt4ImageSurvivesSIGKILLAfterAFlush() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "256M")
      let image = try makeImage(in: server.folder, size: 256 << 20)
      try server.folder.output(of: "nbdcopy", ["--flush", image, server.uri("disk")])
      try server.killAndRestart()
      let copy = server.folder.path("copy.img")
      try server.folder.output(of: "nbdcopy", [server.uri("disk"), copy])
      try server.folder.output(of: "cmp", [image, copy])
      try server.folder.output(of: "e2fsck", ["-f", "-n", copy])
    }

    @Test func aTebibyteOfExt4TakesNoMoreSpaceThanInQcow2() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1T")
      let image = try makeImage(in: server.folder, size: 1 << 40)
      try server.stopAndRestart()
      let before = try server.status().usedBytes
      try server.folder.output(
        of: "nbdcopy", ["--flush", image, server.uri("disk")], seconds: 120)
      try server.stopAndRestart()
      let grown = try server.status().usedBytes - before

      let packed = server.folder.path("fs.qcow2")
      try server.folder.output(
        of: "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", image, packed], seconds: 120)
      let text = try server.folder.output(of: "qemu-img", ["info", "--output=json", packed])
      let theirs = try JSONDecoder().decode(QemuImageInfo.self, from: Data(text.utf8)).actualSize

      let volume = try server.volume("disk")
      print(
        """
        A 1 TiB ext4 image takes \(grown) bytes of the pool (\(volume.allocatedBytes) in extents, \
        \(volume.mappedBytes) in valid blocks) and \(theirs) bytes in qcow2.
        """)
      #expect(grown <= theirs)
      try server.folder.output(
        of: "qemu-img", ["compare", "-f", "raw", "-F", "raw", image, server.uri("disk")],
        seconds: 120)
    }

    @Test(.enabled(if: Machine.canMountVolumes, "loop devices, FUSE or mount are not to be had"))
    func aMountedExt4SurvivesTheServersDeath() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "2G")
      let files = try makeFiles(in: server.folder)
      var mounted = try MountedVolume(of: server, volume: "disk", format: true)
      try server.folder.output(of: "cp", ["-r", files, "\(mounted.place)/kept"])
      let filler = StampedBytes.random(64 << 20, seed: 30)
      try Data(filler).write(to: URL(fileURLWithPath: "\(mounted.place)/filler"))
      try server.folder.output(of: "sync", ["-f", mounted.place])
      let full = try server.volume("disk").allocatedBytes
      #expect(full >= 64 << 20)
      try FileManager.default.removeItem(atPath: "\(mounted.place)/filler")
      try server.folder.output(of: "sync", ["-f", mounted.place])
      try server.folder.output(of: "fstrim", [mounted.place])
      let trimmed = try server.volume("disk").allocatedBytes
      #expect(trimmed + 60 << 20 <= full, "fstrim must give the file's space back")
      try server.kill()
      try mounted.tearDown()
      try server.start()

      mounted = try MountedVolume(of: server, volume: "disk", format: false)
      try server.folder.output(of: "diff", ["-r", files, "\(mounted.place)/kept"])
      try mounted.tearDown()
      let copy = server.folder.path("copy.img")
      try server.folder.output(of: "nbdcopy", [server.uri("disk"), copy])
      try server.folder.output(of: "e2fsck", ["-f", "-n", copy])
    }

    @Test(.enabled(if: Machine.hasLoopDevices, "loop devices are not to be had"))
    func aPoolOfTwoLoopDevicesOneWithLargeSectors() throws {
      let folder = try TemporaryFolder()
      let small = try LoopDevice(folder.sparseFile("small", size: 96 << 20), sectorBytes: 512)
      let large = try LoopDevice(folder.sparseFile("large", size: 192 << 20), sectorBytes: 4096)
      defer { withExtendedLifetime((small, large, folder)) {} }
      let server = try LaminaServer(devices: [.block(path: small.path), .block(path: large.path)])
      try server.createVolume("disk", "1G")
      let client = try server.connect("disk", deadlineSeconds: 60)
      let bytes = StampedBytes.random((60 << 20) + 512, seed: 31)
      try client.write(1536, bytes)
      try client.flush()
      try server.killAndRestart()
      #expect(try server.connect("disk", deadlineSeconds: 60).read(1536, bytes.count) == bytes)
      for device in try server.status().devices {
        #expect(device.dataReads > 0, "\(device.path) must carry a part of the volume")
      }
      try server.stop()
      let again = try server.attempt(
        ["pool", "create", "other", "--device", small.path, "--device", large.path])
      #expect(!again.succeeded, "a device that carries a pool is not taken without --force")
    }
  }
}

/// What the tests read of `qemu-img info --output=json`.
private struct QemuImageInfo: Decodable {
  let actualSize: UInt64
  enum CodingKeys: String, CodingKey { case actualSize = "actual-size" }
}
