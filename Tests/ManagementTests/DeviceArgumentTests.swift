import Management
import Testing

struct DeviceArgumentTests {
  @Test(
    arguments: [
      ("a.img", "a.img", nil), ("a.img:10G", "a.img", 10 << 30), ("/dev/sdb", "/dev/sdb", nil),
      ("a:b.img", "a:b.img", nil), ("a:b.img:512", "a:b.img", 512), ("a.img:", "a.img", nil),
      ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", nil),
      ("/dev/disk/x-0:0:0:", "/dev/disk/x-0:0:0", nil), ("a.img:1.5GiB", "a.img", 3 << 29),
      ("a:1G:", "a:1G", nil), ("./x/y:64k", "./x/y", 65536),
    ] as [(String, String, UInt64?)])
  func `a device is a path, perhaps with a size`(text: String, path: String, size: UInt64?) throws {
    let device = try DeviceArgument(text)
    #expect(device.path == path)
    #expect(device.sizeBytes == size)
    #expect(try DeviceArgument(device.description) == device)
  }

  @Test(arguments: ["", ":", ":10G", "a\0b", "\0"])
  func `a device without a path is refused`(text: String) {
    let error = #expect(throws: ManagementError.self) { try DeviceArgument(text) }
    #expect(error?.code == .invalidArgument)
  }

  @Test(arguments: ["a.img:10GB", "a.img:1.3K", "a.img:0", "a.img:10Q", "/dev/disk/x-0:0:0"])
  func `what looks like a size but is none is not taken for a path`(text: String) {
    let error = #expect(throws: ManagementError.self) { try DeviceArgument(text) }
    #expect(error?.code == .invalidSize)
  }
}
