import Glibc
import StorageUnits
import Testing

@testable import BlockIO

@Suite struct FileDeviceTests {
  @Test(arguments: FileDevice.CacheMode.allCases)
  func aCreatedFileIsSparseExactAndReadsBackWhatIsWritten(_ cache: FileDevice.CacheMode) throws {
    let folder = try TemporaryFolder()
    let path = folder.file("d")
    let device = try FileDevice.create(path, sizeBytes: 1 << 40, cache: cache)
    #expect(device.sizeBytes == 1 << 40)
    #expect([512, 4096].contains(device.logicalBlockBytes))
    let written = AlignedBuffer(12288, repeating: 0x5A)
    try unsafe device.write(
      at: DeviceByteOffset(1 << 39), from: UnsafeRawBufferPointer(written.bytes))
    try device.flush()
    try device.close()
    let again = try FileDevice.open(path, cache: cache)
    let read = AlignedBuffer(12288)
    try unsafe again.read(at: DeviceByteOffset(1 << 39), into: read.bytes)
    #expect(read.contents == written.contents)
  }

  @Test func anExistingFileIsNeverClobbered() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("d")
    let device = try FileDevice.create(path, sizeBytes: 8192)
    let written = AlignedBuffer(4096, repeating: 1)
    try unsafe device.write(at: DeviceByteOffset(0), from: UnsafeRawBufferPointer(written.bytes))
    try device.close()
    let error = #expect(throws: DeviceOpenError.self) {
      try FileDevice.create(path, sizeBytes: 4096)
    }
    #expect(error?.problem == .alreadyExists)
    let read = AlignedBuffer(4096)
    try unsafe FileDevice.open(path).read(at: DeviceByteOffset(0), into: read.bytes)
    #expect(read.contents == written.contents)
  }

  @Test func aSizeThatIsNoMultipleOfABlockIsRefused() throws {
    let folder = try TemporaryFolder()
    for size in [UInt64(0), 4095, 4097, .max] {
      let error = #expect(throws: DeviceOpenError.self) {
        try FileDevice.create(folder.file("d"), sizeBytes: size)
      }
      #expect(error?.problem == .badSize(bytes: size))
    }
    #expect(unsafe access(folder.file("d"), F_OK) != 0)
  }

  @Test func aSecondOpenerIsRefusedEvenInOneProcessAndAdmittedAfterClose() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("d")
    let first = try FileDevice.create(path, sizeBytes: 8192)
    for exclusion in [FileDevice.Exclusion.exclusive, .shared] {
      let error = #expect(throws: DeviceOpenError.self) {
        try FileDevice.open(path, exclusion: exclusion)
      }
      #expect(error?.problem == .heldByAnother)
    }
    _ = try FileDevice.open(path, access: .readOnly, exclusion: .none)
    try first.close()
    _ = try FileDevice.open(path)
  }

  @Test func readersShareAndExcludeAWriter() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("d")
    try FileDevice.create(path, sizeBytes: 8192).close()
    let readers = try (0..<2).map { _ in
      try FileDevice.open(path, access: .readOnly, exclusion: .shared)
    }
    let error = #expect(throws: DeviceOpenError.self) { try FileDevice.open(path) }
    #expect(error?.problem == .heldByAnother)
    for reader in readers { try reader.close() }
    _ = try FileDevice.open(path)
  }

  @Test func aFileSystemWithoutDirectIOSaysWhatToDo() {
    // The proc file system has none; tmpfs has it since Linux 6.6.
    let error = #expect(throws: DeviceOpenError.self) {
      try FileDevice.open("/proc/self/comm", exclusion: .none)
    }
    #expect(error?.problem == .directNotSupported)
    #expect(error?.description.contains("--cache buffered") == true)
  }

  @Test func memoryFileSystemsServeBufferedAndDirectOrRefuseClearly() throws {
    let path = "/dev/shm/lamina-blockio-\(getpid())-\(SystemRandom.bits64())"
    defer { _ = unsafe unlink(path) }
    try FileDevice.create(path, sizeBytes: 8192, cache: .buffered).close()
    do throws(DeviceOpenError) {
      _ = try FileDevice.open(path, cache: .direct)
    } catch {
      #expect(error.problem == .directNotSupported)
    }
  }

  @Test func whatIsMissingOrNoDeviceIsNamed() throws {
    let folder = try TemporaryFolder()
    let missing = #expect(throws: DeviceOpenError.self) {
      try FileDevice.open(folder.file("none"))
    }
    #expect(missing?.problem == .notFound)
    for path in [folder.path, "/dev/null"] {
      let wrong = #expect(throws: DeviceOpenError.self) { try FileDevice.open(path) }
      #expect(wrong?.problem == .wrongKind)
    }
  }

  @Test func aBatchReadsEveryRangeAndZerosBeyondTheEnd() throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 200 * 4096)
    let buffers = (0..<200).map { AlignedBuffer(4096, repeating: UInt8($0 + 1)) }
    for (i, buffer) in buffers.enumerated() {
      try unsafe device.write(
        at: DeviceByteOffset(UInt64(i) * 4096), from: UnsafeRawBufferPointer(buffer.bytes))
    }
    #expect(unsafe truncate(folder.file("d"), 150 * 4096) == 0)
    let read = (0..<200).map { _ in AlignedBuffer(4096, repeating: 0xFF) }
    try unsafe device.readBatch(
      read.enumerated().map {
        (offset: DeviceByteOffset(UInt64($0) * 4096), buffer: unsafe $1.bytes)
      })
    for i in 0..<200 {
      #expect(read[i].contents.allSatisfy { $0 == (i < 150 ? UInt8(i + 1) : 0) })
    }
  }

  @Test func aClosedDeviceRefusesOperations() throws {
    let folder = try TemporaryFolder()
    let device = try FileDevice.create(folder.file("d"), sizeBytes: 8192)
    try device.close()
    try device.close()
    let error = #expect(throws: DeviceError.self) { try device.flush() }
    #expect(error == DeviceError(.flush, device: folder.file("d"), errno: EBADF))
  }
}
