import Glibc
import StorageUnits
import Testing

@testable import BlockIO

@Suite struct DeviceSignatureTests {
  @Test func anEmptyFileCarriesNothing() throws {
    let folder = try TemporaryFolder()
    try FileDevice.create(folder.file("d"), sizeBytes: 8 << 20).close()
    #expect(try DeviceSignature.probe(folder.file("d")) == nil)
  }

  @Test func anExt4ImageIsNamedWithItsLabel() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("d")
    try FileDevice.create(path, sizeBytes: 8 << 20).close()
    try #require(Command.run("mke2fs", ["-q", "-F", "-t", "ext4", "-L", "photos", path]) == 0)
    #expect(try DeviceSignature.probe(path) == "ext4 file system labelled \"photos\"")
  }

  @Test func aPartitionTableIsNamed() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("d")
    let device = try FileDevice.create(path, sizeBytes: 8 << 20)
    // An MBR with one partition of type 83 at sector 2048.
    let sector = AlignedBuffer(4096)
    for (at, byte) in [(450, 0x83), (455, 8), (459, 8), (510, 0x55), (511, 0xAA)] {
      unsafe sector.bytes[at] = UInt8(byte)
    }
    try unsafe device.write(at: DeviceByteOffset(0), from: UnsafeRawBufferPointer(sector.bytes))
    #expect(try DeviceSignature.probe(path) == "MBR partition table")
  }

  @Test func everyKindHasAName() {
    func name(_ type: String, _ usage: String, _ label: String, _ table: String) -> String {
      DeviceSignature.name(
        type: type, usage: usage, label: label, partitionTable: table, isAmbiguous: false)
    }
    #expect(name("LVM2_member", "raid", "", "") == "LVM2_member volume member")
    #expect(name("crypto_LUKS", "crypto", "", "") == "crypto_LUKS encrypted volume")
    #expect(name("swap", "other", "s", "") == "swap labelled \"s\"")
    #expect(name("", "", "", "gpt") == "GPT partition table")
  }

  @Test func aMissingPathIsAnError() {
    let error = #expect(throws: DeviceError.self) { try DeviceSignature.probe("/nowhere/d") }
    #expect(error == DeviceError(.open, device: "/nowhere/d", errno: ENOENT))
  }
}
