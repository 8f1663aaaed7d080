import Glibc
import StorageUnits
import Testing

@testable import BlockIO

@Suite struct SystemIdentityTests {
  @Test func theMonotonicClockDoesNotGoBack() {
    let first = SystemClock.now()
    #expect(first.nanoseconds > 0)
    #expect(SystemClock.now() >= first)
    #expect(SystemClock.secondsSince1970() > 1_700_000_000)
  }

  @Test func randomIdentifiersDiffer() {
    #expect(SystemRandom.uuid() != SystemRandom.uuid())
    #expect(SystemRandom.bits64() != SystemRandom.bits64())
  }

  @Test func theBootHasOneIdentity() throws {
    let boot = try #require(BootIdentity.current())
    #expect(boot != .zero)
    #expect(boot == BootIdentity.current())
  }

  @Test func theHostHasAName() { #expect(!HostName.current().isEmpty) }

  @Test func aProcessIsToldFromAnotherWithItsNumber() {
    let own = ProcessIdentity.current()
    #expect(own.processID == getpid())
    #expect(own.isRunning)
    #expect(!ProcessIdentity(processID: own.processID, startTicks: own.startTicks - 1).isRunning)
    #expect(!ProcessIdentity(processID: Int32.max, startTicks: 1).isRunning)
  }
}

@Suite struct ReactorErrorTests {
  @Test(arguments: [
    RingError.Problem.notAvailable, .notPermitted, .disabledBySystem(value: 2), .kernelTooOld,
    .outOfResources, .system,
  ])
  func everyRingErrorNamesIOUring(_ problem: RingError.Problem) {
    #expect(RingError(problem: problem, errno: EPERM).description.contains("io_uring"))
  }
}
