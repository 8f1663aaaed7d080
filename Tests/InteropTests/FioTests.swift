import ServerHarness
import Testing

extension InteropTests {
  /// fio writes blocks that carry their own checksum and reads them back. Each job is a connection.
  @Suite struct FioTests {
    private func run(_ server: LaminaServer, _ options: [String]) throws {
      let result = try server.folder.run(
        "fio",
        [
          "--name=verify", "--ioengine=nbd", "--uri=\(server.uri("disk"))", "--verify=crc32c",
          "--verify_fatal=1", "--verify_state_save=0", "--do_verify=1", "--randseed=42",
        ] + options, seconds: 120)
      #expect(result.succeeded, "\(result)")
    }

    @Test func randomWritesOfMixedSizesVerify() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try run(server, ["--rw=randwrite", "--bsrange=4k-64k", "--size=48M", "--iodepth=16"])
    }

    @Test func sequentialWritesVerify() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try run(server, ["--rw=write", "--bs=1M", "--size=128M", "--iodepth=8"])
    }

    @Test func sectorSizedWritesVerify() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      try run(server, ["--rw=randwrite", "--bs=512", "--size=2M", "--iodepth=32"])
    }

    @Test func fourConnectionsOverwriteAndVerify() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let jobs = ["--numjobs=4", "--offset_increment=16M", "--size=16M", "--iodepth=8"]
      try run(server, ["--rw=randwrite", "--bs=4k", "--loops=2", "--fsync=64"] + jobs)
    }

    @Test func whatVerifiedOnceVerifiesAfterARestart() throws {
      let server = try LaminaServer()
      try server.createVolume("disk", "1G")
      let work = ["--rw=randwrite", "--bs=4k", "--size=24M", "--iodepth=16", "--end_fsync=1"]
      try run(server, work)
      try server.killAndRestart()
      try run(server, work + ["--verify_only"])
      try server.stopAndRestart()
      try run(server, work + ["--verify_only"])
    }
  }
}
