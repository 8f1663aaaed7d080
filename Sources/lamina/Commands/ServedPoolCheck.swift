import BlockIO
import Dispatch
import Management
import PoolInspection
import PoolServer

/// The check of a pool that a server has open: the server pins one checkpoint, and this process
/// reads it from the devices beside the hosts.
struct ServedPoolCheck {
  let record: PoolRecord
  let state: StateFolder
  let server: any PoolService

  /// How often a lost pin is tried again.
  private static let attempts = 3
  private static let renewalInterval = Duration.seconds(15)

  /// Throws `imagePinned`, `imagePinLost` (hosts needed what was pinned, each time), and what
  /// opening the devices throws.
  func report() async throws(ManagementError) -> InspectionReport {
    let devices = try InspectedDevices(record, for: .beside, in: state)
    defer { devices.close() }
    for _ in 1..<Self.attempts {
      do throws(ManagementError) {
        return try await attempt(devices.devices)
      } catch {
        guard error.code == .imagePinLost else { throw error }
      }
    }
    return try await attempt(devices.devices)
  }

  private func attempt(_ devices: [FileDevice]) async throws(ManagementError) -> InspectionReport {
    // What is checked is to be what the pool holds now.
    try await server.checkpoint()
    let pin = try await server.pinImage()
    let work = PinnedInspection(devices)
    do throws(ManagementError) {
      guard await work.begin(superblockSequence: pin.superblockSequence) else {
        throw .imagePinLost(pool: record.name.text)
      }
      try await server.renewImagePin(pin.id, thaw: true)
      let renewal = renewing(pin.id)
      let report = await work.finish()
      renewal.cancel()
      try await server.releaseImagePin(pin.id)
      return report
    } catch {
      // It may be gone already; if not, the server need not wait for it to expire.
      try? await server.releaseImagePin(pin.id)
      throw error
    }
  }

  /// A pin that cannot be renewed is noticed when it is released.
  private func renewing(_ id: UInt64) -> Task<Void, Never> {
    Task { [server] in
      while (try? await Task.sleep(for: Self.renewalInterval)) != nil {
        try? await server.renewImagePin(id, thaw: true)
      }
    }
  }
}

/// The two halves of the inspection, on a thread of their own, so that the pin is renewed however
/// long they take.
private final class PinnedInspection: @unchecked Sendable {
  // Sendable: used by one half after the other, never at once.
  private let devices: [FileDevice]
  private let bar = ProgressBar("checking")
  private var inspector: PoolInspector?
  private let queue = DispatchQueue(label: "lamina.check")

  init(_ devices: [FileDevice]) { self.devices = devices }

  /// False: the devices do not show the image that was pinned.
  func begin(superblockSequence: UInt64) async -> Bool {
    await onQueue {
      self.inspector = PoolInspector.beginServed(
        devices: self.devices, superblockSequence: superblockSequence, progress: self.bar.show)
      return self.inspector != nil
    }
  }

  func finish() async -> InspectionReport {
    await onQueue {
      defer { self.bar.clear() }
      guard let inspector = self.inspector else {
        preconditionFailure("an inspection is begun before it is finished")
      }
      return inspector.finishServed()
    }
  }

  private func onQueue<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      queue.async { continuation.resume(returning: body()) }
    }
  }
}
