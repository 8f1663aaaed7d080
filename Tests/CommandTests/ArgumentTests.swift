import ArgumentParser
import Management
import PoolServer
import Testing

@testable import lamina

struct ArgumentTests {
  private func parse<Command: ParsableCommand>(
    _ type: Command.Type, _ line: String
  ) throws -> Command {
    let command = try Lamina.parseAsRoot(line.split(separator: " ").map(String.init))
    return try #require(command as? Command)
  }

  @Test func `a pool is created from its devices`() throws {
    let command = try parse(
      PoolCreate.self,
      "pool create tank --device /a.img:1G --device /dev/b --segment-size 1M --allocation-run 2M"
        + " --cache buffered --force")
    let pool = try command.specification()
    #expect(pool.name.text == "tank")
    #expect(pool.devices.map(\.path) == ["/a.img", "/dev/b"])
    #expect(pool.devices.map(\.sizeBytes) == [1 << 30, nil])
    #expect(pool.segmentSizeBytes == 1 << 20)
    #expect(pool.allocationRunBytes == 2 << 20)
    #expect(pool.cacheMode == .buffered)
    #expect(pool.overwriteForeignData)
  }

  @Test func `what is compared are snapshots or volumes`() throws {
    let command = try parse(SnapshotDiff.self, "snapshot diff tank/disk@monday tank/disk")
    #expect(try ContentReference(command.base).content.description == "disk@monday")
    #expect(try ContentReference(command.target).content == .volume(VolumeName("disk")))
    for text in ["tank", "tank/a@b@c", "tank/@b", "tank/a@", "tank/a/b"] {
      let error = #expect(throws: ManagementError.self) { try ContentReference(text) }
      #expect(error?.code == .invalidName)
    }
  }

  @Test func `a bookmark is made of a snapshot and named by its volume`() throws {
    let new = try NewBookmarkReference("tank/disk@monday#m")
    #expect(new.snapshot.description == "disk@monday")
    #expect(new.bookmark.description == "disk#m")
    #expect(try BookmarkReference("tank/disk#m").bookmark == new.bookmark)
    #expect(try BaseReference("tank/disk#m").base == .bookmark(new.bookmark))
    for text in ["tank/disk#m", "tank/disk@a", "tank/disk@a#", "disk@a#m", "tank/d@a#m#n"] {
      #expect(throws: ManagementError.self) { try NewBookmarkReference(text) }
    }
    for text in ["tank/disk", "tank/disk#", "tank/#m", "tank/disk@a#m", "tank/disk#a#b"] {
      #expect(throws: ManagementError.self) { try BookmarkReference(text) }
    }
  }

  @Test func `a relative device becomes absolute`() throws {
    let command = try parse(PoolCreate.self, "pool create tank --device x/../a.img")
    let path = try #require(try command.specification().devices.first?.path)
    #expect(path == HostEnvironment.current.absolutePath("a.img"))
  }

  @Test(arguments: [
    "pool create tank --device a --cache none", "pool create tank --device a:1GB",
    "pool create t@nk --device a", "pool create tank --device a --device a",
    "pool create tank --device a --segment-size 3M",
  ])
  func `what a pool cannot be made of is refused before anything is done`(line: String) throws {
    let command = try parse(PoolCreate.self, line)
    let error = #expect(throws: ManagementError.self) { try command.specification() }
    #expect(error?.code.exitCode == 64)
  }

  @Test(arguments: ["volume create tank/disk 10T", "volume create tank/disk --size 10T"])
  func `a volume's size is an argument or an option`(line: String) throws {
    let command = try parse(VolumeCreate.self, line)
    let volume = try command.specification(VolumeName("disk"))
    #expect(volume.sizeBytes == 10 << 40)
    #expect(volume.logicalBlockBytes == 512)
    #expect(volume.fullPolicy == .wait(seconds: 60))
  }

  @Test func `a volume's options are taken`() throws {
    let command = try parse(
      VolumeCreate.self, "volume create tank/disk 4096 --block-size 4096 --full wait:5")
    let volume = try command.specification(VolumeName("disk"))
    #expect(volume.logicalBlockBytes == 4096)
    #expect(volume.fullPolicy == .wait(seconds: 5))
  }

  @Test(arguments: [
    "volume create tank/disk", "volume create tank/disk 1G --size 1G",
    "volume create tank/disk 100", "volume create tank/disk 512 --block-size 4096",
    "volume create tank/disk 1G --full never", "volume create tank/disk 1G --block-size 1024",
  ])
  func `a volume without one proper size or policy is refused`(line: String) throws {
    let command = try parse(VolumeCreate.self, line)
    let error = #expect(throws: ManagementError.self) {
      try command.specification(VolumeName("disk"))
    }
    #expect(error?.code.exitCode == 64)
  }

  @Test func `a server listens in the state folder if nothing else is said`() throws {
    let state = try StateFolder(option: "/h", environment: .current)
    let options = try parse(ServeCommand.self, "serve tank").options(in: state)
    #expect(options.listeners == [.unix(path: "/h/tank.sock")])
    #expect(options.defaultExport == nil)
    #expect(options.cacheMode == nil)
    #expect(options.nodeCacheBytes == nil)
    #expect(options.maximumConnections == 256)
    #expect(options.handshakeTimeoutSeconds == 30)
  }

  @Test func `a server's options are taken`() throws {
    let state = try StateFolder(option: "/h", environment: .current)
    let options = try parse(
      ServeCommand.self,
      "serve tank --listen unix:/x --listen 127.0.0.1 --default-export d --cache direct"
        + " --max-connections 7 --node-cache 64M --handshake-timeout 3"
    ).options(in: state)
    #expect(options.listeners == [.unix(path: "/x"), .tcp(host: "127.0.0.1", port: 10809)])
    #expect(options.defaultExport?.text == "d")
    #expect(options.cacheMode == .direct)
    #expect(options.maximumConnections == 7)
    #expect(options.nodeCacheBytes == 64 << 20)
    #expect(options.handshakeTimeoutSeconds == 3)
  }

  @Test(arguments: [
    "serve tank --listen x:y", "serve tank --listen unix:/x --listen unix:/./x",
    "serve tank --max-connections 0", "serve tank --node-cache 1K", "serve t/k",
    "serve tank --handshake-timeout 0", "serve tank --default-export a/b",
  ])
  func `a server that cannot be is refused`(line: String) throws {
    let command = try parse(ServeCommand.self, line)
    let state = try StateFolder(option: "/h", environment: .current)
    let error = #expect(throws: ManagementError.self) { try command.options(in: state) }
    #expect(error?.code.exitCode == 64)
  }
}
