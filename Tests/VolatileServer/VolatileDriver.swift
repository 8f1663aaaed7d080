import BlockIO
import PoolServer
import StorageUnits

/// Carries out the engine's commands on volatile devices: they end in any order, and a flush covers
/// what had completed when it was submitted, but not always more.
@safe final class VolatileDriver: DeviceDriver {
  private struct UnderWay {
    var command: IOCommand
    /// A flush that was carried out when it was submitted: its errno.
    var flushed: Int32?
  }

  let devices: [any SynchronousDevice]
  private let volatileDevices: [VolatileDevice]
  private var byIndex: [DeviceIndex: VolatileDevice] = [:]
  private var underWay: [UnderWay] = []
  private var random: VolatileRandom

  init(_ files: [FileDevice], conduct: VolatileDevice.Conduct, seed: UInt64) {
    var random = VolatileRandom(seed: seed)
    volatileDevices = files.map {
      VolatileDevice($0, conduct: conduct, seed: random.next())
    }
    devices = volatileDevices
    self.random = random
  }

  func attach(as indices: [DeviceIndex]) {
    for (index, device) in zip(indices, volatileDevices) { byIndex[index] = device }
  }

  var isBusy: Bool { !underWay.isEmpty }

  func submit(_ command: IOCommand) {
    var item = UnderWay(command: command)
    let device = device(of: command)
    switch command.operation {
    case .flush where random.next() & 1 == 0:
      item.flushed = Self.errno { () throws(DeviceError) in try device.flush() }
    case .write:
      // An error shows again, and counts, when the write is carried out.
      if let data = unsafe Self.data(of: command) {
        try? unsafe device.landEarly(at: command.offset, data)
      }
    case .flush, .read, .reserveSpace, .punchHole: break
    }
    underWay.append(item)
  }

  func nextCompletion() -> IOCompletion? {
    // Some are kept for later turns.
    guard !underWay.isEmpty, random.next() % 8 != 0 else { return nil }
    let picked = Int.random(in: 0..<underWay.count, using: &random)
    underWay.swapAt(picked, underWay.count - 1)
    let item = underWay.removeLast()
    return IOCompletion(token: item.command.token, errno: item.flushed ?? perform(item.command))
  }

  private func perform(_ command: IOCommand) -> Int32 {
    let device = device(of: command)
    return Self.errno { () throws(DeviceError) in
      switch command.operation {
      case .read:
        try unsafe device.read(
          at: command.offset,
          into: UnsafeMutableRawBufferPointer(start: command.buffer, count: command.length))
      case .write:
        if let data = unsafe Self.data(of: command) {
          unsafe device.remember(at: command.offset, data)
        }
      case .flush: try device.flush()
      case .reserveSpace: break
      case .punchHole: try device.punch(at: command.offset, length: command.length)
      }
    }
  }

  private static func data(of command: IOCommand) -> UnsafeRawBufferPointer? {
    guard let buffer = unsafe command.buffer else { return nil }
    return unsafe UnsafeRawBufferPointer(start: buffer, count: command.length)
  }

  private func device(of command: IOCommand) -> VolatileDevice {
    guard let device = byIndex[command.device] else {
      preconditionFailure("a command for a device that is not attached")
    }
    return device
  }

  private static func errno(_ body: () throws(DeviceError) -> Void) -> Int32 {
    do throws(DeviceError) {
      try body()
      return 0
    } catch { return error.errno }
  }
}
