import Foundation
import Management
import StorageUnits
import Testing

/// The texts here are the public contract of `Docs/CommandLine.md`: a change of one is a change of
/// `outputVersion`.
struct JSONShapeTests {
  static let uuid = StorageUUID(high: 0x0123_4567_89AB_4DEF, low: 0x8123_4567_89AB_CDEF)

  static let device = DeviceStatus(
    path: "/a.img", uuid: uuid, index: 0, sizeBytes: 1 << 30, usedBytes: 1 << 20, dataReads: 1,
    dataWrites: 2, nodeReads: 3, nodeWrites: 4, flushes: 5)

  static let pool = PoolStatus(
    name: "demo", uuid: uuid, state: .online, sizeBytes: 1 << 30, usedBytes: 1 << 20,
    metadataBytes: 4096, reclaimableBytes: 65536, volumeCount: 1, segmentSizeBytes: 4 << 20,
    allocationRunBytes: 1 << 20, cacheMode: .direct, checkpointSequence: 7, devices: [device])

  static let volume = VolumeDescription(
    name: "disk", pool: "demo", uuid: uuid, id: 3, sizeBytes: 32 << 50, allocatedBytes: 65536,
    mappedBytes: 4096, logicalBlockBytes: 512, readOnly: false, fullPolicy: .wait(seconds: 60),
    createdAt: Timestamp(secondsSince1970: 1_769_847_300))

  @Test func `a pool's status has its fields`() throws {
    #expect(
      try text(Self.pool) == """
        {"allocationRunBytes":1048576,"cacheMode":"direct","checkpointSequence":7,"devices":[\
        {"dataReads":1,"dataWrites":2,"flushes":5,"index":0,"nodeReads":3,"nodeWrites":4,"path":\
        "/a.img","sizeBytes":1073741824,"usedBytes":1048576,"uuid":\
        "01234567-89ab-4def-8123-456789abcdef"}],"freeBytes":1072693248,"metadataBytes":4096,\
        "name":"demo","owedBytes":0,"pendingDropCount":0,"reclaimableBytes":65536,\
        "segmentSizeBytes":4194304,"sizeBytes":1073741824,"state":"online","trashBytes":0,\
        "trashCount":0,"trashExpirySeconds":0,"usedBytes":1048576,\
        "uuid":"01234567-89ab-4def-8123-456789abcdef","volumeCount":1}
        """)
    try expectRoundTrip(Self.pool)
  }

  @Test func `a volume's description has its fields`() throws {
    #expect(
      try text(Self.volume) == """
        {"allocatedBytes":65536,"createdAt":"2026-01-31T08:15:00Z","fullPolicy":{"mode":"wait",\
        "waitSeconds":60},"id":3,"logicalBlockBytes":512,"mappedBytes":4096,"name":"disk","pool":\
        "demo","readOnly":false,"sizeBytes":36028797018963968,"uuid":\
        "01234567-89ab-4def-8123-456789abcdef"}
        """)
    try expectRoundTrip(Self.volume)
  }

  @Test func `a policy that fails at once has no seconds`() throws {
    #expect(try text(FullPolicy.error) == #"{"mode":"error"}"#)
    try expectRoundTrip(FullPolicy.error)
  }

  @Test func `a read-only pool says why`() throws {
    var pool = Self.pool
    pool.state = .readOnly
    pool.stateReason = "A barrier on /a.img failed."
    #expect(try text(pool).contains(#""state":"readOnly","stateReason":"A barrier on /a.img"#))
    try expectRoundTrip(pool)
  }

  @Test func `the version names every version there is`() throws {
    #expect(
      try text(LaminaVersion.current)
        == #"{"apiVersion":1,"formatVersions":[1],"outputVersion":1,"version":"0.1.0"}"#)
  }

  @Test(arguments: [0, 1, 951_782_400, 1_769_847_300, 4_102_444_799, -1])
  func `a time is written in RFC 3339 and read back`(seconds: Int64) throws {
    let time = Timestamp(secondsSince1970: seconds)
    #expect(Timestamp(time.description) == time)
    #expect(time.description.hasSuffix("Z"))
  }

  @Test(arguments: ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-31"])
  func `a text that is no time is refused`(text: String) {
    #expect(Timestamp(text) == nil)
  }

  private func text(_ value: some Encodable) throws -> String {
    String(decoding: try ManagementJSON.encode(value), as: UTF8.self)
  }

  private func expectRoundTrip<Value: Codable & Equatable>(_ value: Value) throws {
    let data = try ManagementJSON.encode(value)
    #expect(try ManagementJSON.decode(Value.self, from: data) == value)
  }
}
