import Foundation
import Management
import PoolServer
import Testing

@testable import lamina

struct OutputTests {
  @Test func `a pool's status is shown in columns`() {
    let result = PoolStatusResult(output: CannedPool.status, nextCommand: nil)
    #expect(
      result.text == """
        pool            tank
        uuid            01234567-89ab-4def-8123-456789abcdef
        state           online
        size            1.5 GiB
        used            1 MiB, of it 4 KiB for tables
        free            1.5 GiB
        reclaimable     64 KiB with the next checkpoint
        volumes         1
        segment         4 MiB
        allocation run  1 MiB
        cache           direct
        checkpoint      7

        device  path       size   used  data reads  data writes  node reads  node writes  flushes
             0  /a.img    1 GiB  1 MiB           1           20         300            4        5
            10  /b.img  512 MiB    0 B           0            0           0            0        0
        """)
  }

  @Test func `a read-only pool says why`() {
    var status = CannedPool.status
    status.state = .readOnly
    status.stateReason = "a barrier on /a.img failed"
    let text = PoolStatusResult(output: status, nextCommand: nil).text
    #expect(text?.contains("state           read-only: a barrier on /a.img failed\n") == true)
  }

  @Test func `a volume is shown with its exact size`() {
    #expect(
      VolumeResult(output: CannedPool.volume, nextCommand: nil).text == """
        volume         tank/disk
        uuid           01234567-89ab-4def-8123-456789abcdef
        id             3
        size           10 TiB (10995116277760 bytes)
        allocated      64 KiB
        mapped         4 KiB
        logical block  512 B
        read-only      no
        when full      writes wait for space, at most 60 s
        created        2026-01-31T08:15:00Z
        """)
  }

  @Test func `what is owed is shown where there is some`() throws {
    let shown = "64 KiB of discards, to be done when the tables have space"
    var volume = CannedPool.volume
    volume.owedBytes = 65536
    let text = VolumeResult(output: volume, nextCommand: nil).text
    #expect(text?.contains("\nowed           \(shown)\n") == true)
    var status = CannedPool.status
    #expect(PoolStatusResult(output: status, nextCommand: nil).text?.contains("owed") == false)
    status.owedBytes = 65536
    #expect(PoolStatusResult(output: status, nextCommand: nil).text?.contains(shown) == true)
    let holder = SpaceUsage.Holder(
      name: "disk", sizeBytes: 1 << 20, referencedBytes: 1 << 20, exclusiveBytes: 1 << 20,
      owedBytes: 65536)
    let usage = SpaceUsage(
      usedBytes: 2 << 20, aheadBytes: 0, reclaimableBytes: 0, dataBytes: 1 << 20, deletedMaps: 0,
      holders: [holder])
    #expect(usage.owedBytes == 65536)
    let output = SpaceUsageResult(output: .init(pool: "tank", usage: usage))
    #expect(output.text?.contains("tank/disk (owes 64 KiB)") == true)
    #expect(output.text?.contains(shown) == true)
  }

  @Test func `volumes are listed in columns, none in words`() {
    let list = VolumeListResult(output: VolumeList(volumes: [CannedPool.volume]), nextCommand: nil)
    #expect(
      list.text == """
        volume       size  allocated  mapped  block  when full  created
        tank/disk  10 TiB     64 KiB   4 KiB    512  wait:60    2026-01-31T08:15:00Z
        """)
    let none = VolumeListResult(output: VolumeList(volumes: []), nextCommand: nil)
    #expect(none.text == "no volumes")
  }

  @Test func `changes are joined from their pieces and shown with a sum`() async throws {
    let list = try await CannedPool().allChanges(
      ChangeSpecification(
        target: try ContentName("disk"), base: try BaseName("disk@monday")))
    #expect(list.ranges == CannedPool.ranges)
    #expect(list.visitedNodes == 6)
    #expect(
      ChangeListResult(list: list).text == """
        offset  length  kind
          4096    8192  data
         65536   65536  hole
        2 ranges changed: 8 KiB of data, 64 KiB of holes
        """)
    let json = try json(ChangeListResult(list: list).output)
    #expect(
      json == """
        {"base":"disk@monday","baseSizeBytes":10995116277760,"baseUUID":\
        "01234567-89ab-4def-8123-456789abcdef","dataBytes":8192,"holeBytes":65536,\
        "outputVersion":1,"pool":"tank","ranges":[{"kind":"data","lengthBytes":8192,\
        "offsetBytes":4096},{"kind":"hole","lengthBytes":65536,"offsetBytes":65536}],\
        "sizeBytes":10995116277760,"target":"disk","targetUUID":\
        "01234567-89ab-4def-8123-456789abcdef","visitedNodes":6}
        """)
    var none = list
    none.ranges = []
    #expect(ChangeListResult(list: none).text == "nothing changed")
    none.base = nil
    #expect(ChangeListResult(list: none).text == "nothing is stored")
  }

  @Test func `bookmarks are listed with what became of their snapshots`() throws {
    var back = CannedPool.bookmark
    back.usable = false
    let list = BookmarkListResult(
      output: BookmarkList(bookmarks: [CannedPool.bookmark, back]), nextCommand: nil)
    #expect(
      list.text == """
        bookmark        of snapshot  snapshot is               created
        tank/disk#mark  disk@monday  gone                      2026-01-31T08:15:02Z
        tank/disk#mark  disk@monday  gone, volume rolled back  2026-01-31T08:15:02Z
        """)
    #expect(
      try json(CannedPool.bookmark) == """
        {"createdAt":"2026-01-31T08:15:02Z","name":"disk#mark","outputVersion":1,"pool":"tank",\
        "sizeBytes":10995116277760,"snapshot":"disk@monday","snapshotCreatedAt":\
        "2026-01-31T08:15:01Z","snapshotExists":false,"snapshotUUID":\
        "01234567-89ab-4def-8123-456789abcdef","usable":true}
        """)
  }

  @Test func `the JSON of a result has the version of its form beside its fields`() throws {
    let volume = VolumeReference(pool: try PoolName("tank"), volume: try VolumeName("disk"))
    #expect(
      try json(VolumeDeletedResult(volume: volume).output)
        == #"{"deleted":"tank/disk","outputVersion":1,"trashed":false}"#)
    #expect(
      try json(VersionResult().output)
        == #"{"apiVersion":1,"formatVersions":[1],"outputVersion":1,"version":"0.1.0"}"#)
    #expect(
      try json(VolumeList(volumes: [])) == #"{"outputVersion":1,"volumes":[]}"#)
    let status = try json(CannedPool.status)
    #expect(
      status.contains(
        #""outputVersion":1,"owedBytes":0,"pendingDropCount":0,"reclaimableBytes":65536"#))
  }

  @Test func `a server that is ready says so in one line of JSON or in words`() {
    let ready = ServerReady(
      pool: "tank", listeners: ["unix:/x", "127.0.0.1:10809"],
      uris: ["nbd+unix:///?socket=/x", "nbd://127.0.0.1/"], controlSocketPath: "/c",
      processID: 7)
    #expect(
      ServeCommand.line(ready) == """
        {"controlSocketPath":"/c","listeners":["unix:/x","127.0.0.1:10809"],"outputVersion":1,\
        "pool":"tank","processID":7,"uris":["nbd+unix:///?socket=/x","nbd://127.0.0.1/"]}
        """)
    #expect(
      ServeCommand.text(ready) == """
        serving pool tank at
          unix:/x  nbd+unix:///?socket=/x
          127.0.0.1:10809  nbd://127.0.0.1/
        process 7; SIGTERM or Control-C ends it cleanly
        """)
  }

  @Test func `an error says what happened, why, and what to do next`() {
    let error = ManagementError(
      .noSpace, "m", cause: "Cause.", details: ["Detail."], correction: "Do this.")
    #expect(
      ErrorText.text(error) == """
        lamina: m [no-space]
          Cause.
          Detail.
          Next: Do this.
        """)
    #expect(ErrorText.text(ManagementError(.timedOut, "m")) == "lamina: m [timed-out]")
    #expect(ErrorText.json(error).contains(#""outputVersion" : 1"#))
  }

  @Test(arguments: ManagementError.Code.allCases)
  func `a wrong command line ends with 64, a refused or failed command with 1`(
    code: ManagementError.Code
  ) {
    let usage: Set<ManagementError.Code> = [
      .invalidName, .invalidSize, .invalidArgument, .addressInvalid,
    ]
    #expect(code.exitCode == (usage.contains(code) ? 64 : 1))
  }

  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try ManagementJSON.encode(VersionedOutput(value)), as: UTF8.self)
  }
}
