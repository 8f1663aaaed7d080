import Glibc
import StorageUnits

@testable import BlockIO

/// A folder of one test on a real file system, removed at the end.
final class TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/var/tmp/lamina-blockio-XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
      unsafe buffer.baseAddress.map { unsafe mkdtemp($0) != nil } ?? false
    }
    guard made else { throw DeviceError(.open, device: "/var/tmp", errno: errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { _ = Command.run("rm", ["-rf", path]) }

  func file(_ name: String) -> String { path + "/" + name }
}

/// 4096-byte aligned memory of one test. Never freed: a test that failed, or that dropped its
/// buffer early, leaves operations behind that the kernel still carries out. Mapped, so that the
/// leak sanitizer does not count it.
@safe final class AlignedBuffer {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ count: Int, repeating byte: UInt8 = 0) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    guard let base = unsafe mmap(nil, count, PROT_READ | PROT_WRITE, flags, -1, 0),
      unsafe base != MAP_FAILED
    else { fatalError("no memory for a test's buffer") }
    unsafe bytes = UnsafeMutableRawBufferPointer(start: base, count: count)
    unsafe bytes.initializeMemory(as: UInt8.self, repeating: byte)
  }

  var pointer: UnsafeMutableRawPointer? { unsafe bytes.baseAddress }
  var contents: [UInt8] { unsafe Array(bytes) }
}

/// Runs a program and waits for it.
enum Command {
  /// The exit code, or -1 if it could not be run.
  static func run(_ program: String, _ arguments: [String], output: String = "/dev/null") -> Int32 {
    var pointers = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe pointers.forEach { unsafe free($0) } }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT, 0o600)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var process = pid_t()
    guard unsafe posix_spawnp(&process, program, &actions, nil, &pointers, environ) == 0 else {
      return -1
    }
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -1
  }
}

extension Reactor {
  /// Turns until an event comes that `pick` wants, and gives what it made of it; nil after ten
  /// seconds, which no test takes.
  func next<Wanted>(_ pick: (ReactorEvent) -> Wanted?) -> Wanted? {
    let limit = SystemClock.now().adding(milliseconds: 10_000)
    while true {
      while let event = nextEvent() {
        if let wanted = pick(event) { return wanted }
      }
      if SystemClock.now() >= limit { return nil }
      turn(until: limit)
    }
  }

  /// Submits the command and waits for its completion: its errno.
  func complete(_ command: IOCommand) -> Int32? {
    submit(command)
    return next { event in
      if case .io(let completion) = event, completion.token == command.token {
        return completion.errno
      }
      return nil
    }
  }

  func nextAccepted() -> ConnectionID? {
    next { if case .accepted(_, let connection) = $0 { connection } else { nil } }
  }

  func nextReceived(_ connection: ConnectionID) -> Int? {
    next {
      if case .received(connection, let result) = $0 { result } else { nil }
    }
  }

  func nextSent(_ connection: ConnectionID) -> Int32? {
    next { if case .sent(connection, let errno) = $0 { errno } else { nil } }
  }
}

let firstDevice = DeviceIndex(index: 0)

func command(
  _ operation: IOCommand.Operation, at offset: UInt64, _ buffer: AlignedBuffer?, length: Int? = nil,
  token: UInt64 = 1, device: DeviceIndex = firstDevice
) -> IOCommand {
  unsafe IOCommand(
    operation, device: device, offset: DeviceByteOffset(offset),
    length: length ?? buffer?.bytes.count ?? 0, buffer: buffer?.pointer, token: token)
}
