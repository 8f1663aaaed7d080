import Glibc

/// A trap inside the server ends the whole process: what it leaves are the seeds that were in work.
enum TrapReport {
  private static let capacity = 256
  // Allocated once and never freed; each thread writes its own word, the handler only reads.
  private nonisolated(unsafe) static let seeds: UnsafeMutablePointer<UInt64> = {
    let seeds = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
    unsafe seeds.initialize(repeating: 0, count: capacity)
    return unsafe seeds
  }()

  static func note(_ seed: UInt64, thread: Int) {
    guard thread < capacity else { return }
    unsafe seeds[thread] = seed
  }

  static func install() {
    note(0, thread: 0)
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE] {
      _ = signal(number) { number in
        TrapReport.write("\nthe server trapped; in work were the seeds")
        for thread in 0..<TrapReport.capacity {
          let seed = unsafe TrapReport.seeds[thread]
          if seed != 0 { TrapReport.write(number: seed) }
        }
        TrapReport.write("\nrun each again with: lamina-prove simulate --once --seed SEED\n")
        _ = signal(number, SIG_DFL)
        raise(number)
      }
    }
  }

  /// Safe in a signal handler: nothing is allocated.
  private static func write(_ text: StaticString) {
    _ = unsafe Glibc.write(2, text.utf8Start, text.utf8CodeUnitCount)
  }

  private static func write(number: UInt64) {
    unsafe withUnsafeTemporaryAllocation(byteCount: 21, alignment: 1) { digits in
      var at = 21
      var rest = number
      repeat {
        at -= 1
        unsafe digits[at] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      } while rest > 0
      at -= 1
      unsafe digits[at] = UInt8(ascii: " ")
      _ = unsafe Glibc.write(2, digits.baseAddress.map { unsafe $0 + at }, 21 - at)
    }
  }
}
