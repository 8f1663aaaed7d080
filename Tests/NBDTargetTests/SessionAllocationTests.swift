import BlockExport
import CAllocationCounter
import StorageUnits
import Testing

@testable import NBDTarget

@Suite struct SessionAllocationTests {
  private func put(_ bytes: [UInt8], _ buffer: UnsafeMutableRawPointer) {
    unsafe bytes.withUnsafeBytes { bytes in
      unsafe UnsafeMutableRawBufferPointer(start: buffer, count: bytes.count).copyMemory(
        from: bytes)
    }
  }

  /// One turn: a request arrives, the engine answers, the reply is sent.
  private func turn(_ harness: SessionHarness, _ request: [UInt8], at now: MonotonicTime) -> Int {
    let sessions = harness.sessions
    let none: [BlockStatusExtent] = []
    var actions = 0
    var sent: Int?
    while let action = sessions.nextAction() {
      actions += 1
      switch action {
      case .receive(let i, let buffer, _, _):
        unsafe put(request, buffer)
        sessions.received(i, result: request.count, at: now)
      case .send(let i, _): sent = i
      case .close: Issue.record("a close in the middle")
      }
    }
    if let sent { sessions.sent(sent, errno: 0, at: now) }
    while let request = sessions.firstRequest {
      sessions.removeFirstRequest()
      sessions.deliver(ExportAnswer(token: request.token, error: nil), extents: none.span)
    }
    sessions.flush(at: now)
    return actions
  }

  @Test func aRequestAllocatesNothing() throws {
    let volume = ListedExports.volume(1, "v", bytes: 4 << 20)
    for structured in [false, true] {
      let harness = SessionHarness([volume])
      let i = try harness.open(structured: structured)
      let data = [UInt8](repeating: 7, count: 4096)
      let request =
        Wire.request(0, cookie: 1, offset: 512, length: 4096)
        + Wire.request(1, cookie: 2, offset: 8192, length: 4096, data)
        + Wire.request(3, cookie: 3) + Wire.request(4, cookie: 4, offset: 4096, length: 65_536)
        + Wire.request(0, cookie: 5, offset: 1 << 20, length: 2 << 20)
      // The receive that the harness has been given is ended by hand.
      let receive = unsafe try #require(harness.peers[i]?.receive)
      unsafe put(request, receive.buffer)
      harness.sessions.received(i, result: request.count, at: harness.now)
      var actions = 0
      for _ in 0..<20 { actions += turn(harness, request, at: harness.now) }
      let before = lamina_allocation_count()
      for _ in 0..<200 { actions += turn(harness, request, at: harness.now) }
      let after = lamina_allocation_count()
      #expect(after - before == 0)
      #expect(actions > 400)
      #expect(harness.sessions.statistics.reads > 400)
    }
  }
}
