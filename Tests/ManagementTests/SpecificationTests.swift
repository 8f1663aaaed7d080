import Foundation
import Management
import Testing

struct SpecificationTests {
  let name: VolumeName

  init() throws { name = try VolumeName("disk") }

  static let goodSizes: [(UInt64, Int)] = [
    (512, 512), (540_672, 512), (540_672 + 512, 512), (32 << 50, 512), (4096, 4096),
    ((32 << 50) - 512, 512),
  ]

  @Test(arguments: goodSizes)
  func `a size that is a multiple of the logical block is kept exactly`(
    bytes: UInt64, block: Int
  ) throws {
    let volume = try VolumeSpecification(name: name, sizeBytes: bytes, logicalBlockBytes: block)
    #expect(volume.sizeBytes == bytes)
  }

  static let badSizes: [(UInt64, Int)] = [
    (0, 512), (1, 512), (513, 512), (512, 4096), (4608, 4096), ((32 << 50) + 512, 512),
    (UInt64.max, 512),
  ]

  @Test(arguments: badSizes)
  func `any other size is refused, not rounded`(bytes: UInt64, block: Int) {
    let error = #expect(throws: ManagementError.self) {
      try VolumeSpecification(name: name, sizeBytes: bytes, logicalBlockBytes: block)
    }
    #expect(error?.code == .invalidSize)
  }

  @Test(arguments: [0, 1, 1024, 8192, -512])
  func `a logical block of another size is refused`(block: Int) {
    let error = #expect(throws: ManagementError.self) {
      try VolumeSpecification(name: name, sizeBytes: 1 << 20, logicalBlockBytes: block)
    }
    #expect(error?.code == .invalidArgument)
  }

  @Test(arguments: [
    ("error", FullPolicy.error), ("wait", .wait(seconds: 60)), ("wait:1", .wait(seconds: 1)),
    ("wait:604800", .wait(seconds: 604_800)),
  ])
  func `a full policy is error, wait or wait with seconds`(
    text: String, policy: FullPolicy
  ) throws {
    #expect(try FullPolicy(text) == policy)
  }

  @Test(arguments: [
    "", "errors", "error:1", "wait:", "wait:0", "wait:604801", "wait:-1", "wait:1s", "wait:1:2",
    "WAIT", "wait:99999999999999999999",
  ])
  func `any other full policy is refused`(text: String) {
    #expect(throws: ManagementError.self) { try FullPolicy(text) }
  }

  @Test func `the body of a request may leave out what has a default`() throws {
    let data = Data(#"{"name": "disk", "sizeBytes": 1024}"#.utf8)
    let volume = try ManagementJSON.decode(VolumeSpecification.self, from: data)
    #expect(volume == (try VolumeSpecification(name: name, sizeBytes: 1024)))
  }

  @Test(arguments: [
    (#"{"sizeBytes": 1024}"#, ManagementError.Code.invalidRequest),
    (#"{"name": "disk"}"#, .invalidRequest),
    (#"{"name": "disk", "sizeBytes": "1K"}"#, .invalidRequest),
    (#"{"name": "disk", "sizeBytes": -1}"#, .invalidRequest),
    (#"{"name": "disk", "sizeBytes": 1.5}"#, .invalidRequest),
    (#"{"name": "disk", "sizeBytes": 1024, "size": 1}"#, .invalidRequest),
    (#"{"name": "a/b", "sizeBytes": 1024}"#, .invalidName),
    (#"{"name": "disk", "sizeBytes": 1000}"#, .invalidSize),
    (#"{"name": "disk", "sizeBytes": 1024, "fullPolicy": {"mode": "never"}}"#, .invalidArgument),
    (
      #"{"name": "disk", "sizeBytes": 1024, "fullPolicy": {"mode": "wait", "waitSeconds": 0}}"#,
      .invalidArgument
    ),
    ("[]", .invalidRequest), ("7", .invalidRequest), ("", .invalidRequest), ("{", .invalidRequest),
  ])
  func `a body that is not as described is refused`(
    body: String, code: ManagementError.Code
  ) {
    let error = #expect(throws: ManagementError.self) {
      try ManagementJSON.decode(VolumeSpecification.self, from: Data(body.utf8))
    }
    #expect(error?.code == code)
  }

  @Test func `a missing field is named`() {
    let error = #expect(throws: ManagementError.self) {
      try ManagementJSON.decode(VolumeSpecification.self, from: Data(#"{"name": "disk"}"#.utf8))
    }
    #expect(error?.message == "the field 'sizeBytes' is missing")
    #expect(error?.objects == [ManagementObject(.option, "sizeBytes")])
  }

  @Test func `a pool needs at least one device, each once`() throws {
    let pool = try PoolName("demo")
    let device = try DeviceArgument("a.img:1G")
    #expect(throws: ManagementError.self) { try PoolSpecification(name: pool, devices: []) }
    #expect(throws: ManagementError.self) {
      try PoolSpecification(name: pool, devices: [device, try DeviceArgument("a.img")])
    }
    #expect(throws: Never.self) { try PoolSpecification(name: pool, devices: [device]) }
  }

  @Test(arguments: [65536, 1 << 20, 64 << 20] as [UInt64])
  func `segments are powers of two from 64 KiB to 64 MiB`(bytes: UInt64) throws {
    let pool = try PoolName("demo")
    let device = try DeviceArgument("a.img:1G")
    #expect(throws: Never.self) {
      try PoolSpecification(name: pool, devices: [device], segmentSizeBytes: bytes)
    }
    for wrong in [bytes + 1, bytes * 3, bytes << 20, 0] {
      #expect(throws: ManagementError.self) {
        try PoolSpecification(name: pool, devices: [device], segmentSizeBytes: wrong)
      }
    }
  }

  @Test func `what is asked about changes has a target, and bounds`() throws {
    func decode(_ text: String) throws -> ChangeSpecification {
      try ManagementJSON.decode(ChangeSpecification.self, from: Data(text.utf8))
    }
    let plain = try decode(#"{"target": "disk"}"#)
    #expect(plain == ChangeSpecification(target: .volume(try VolumeName("disk")), base: nil))
    let full = try decode(
      #"{"target": "disk", "base": "disk@a", "offsetBytes": 65536, "rangesAtMost": 7}"#)
    #expect(full.base?.description == "disk@a")
    #expect(full.offsetBytes == 65536 && full.rangesAtMost == 7)
    #expect(
      try ManagementJSON.decode(
        ChangeSpecification.self, from: try ManagementJSON.encode(full)) == full)
    for wrong in [
      "{}", #"{"target": "a@"}"#, #"{"target": "a", "rangesAtMost": 0}"#,
      #"{"target": "a", "rangesAtMost": 65537}"#, #"{"target": "a", "offsetBytes": -1}"#,
      #"{"target": "a", "moon": 1}"#, #"{"target": "a", "base": 1}"#,
    ] {
      #expect(throws: ManagementError.self) { try decode(wrong) }
    }
  }
}
