public import BlockIO
public import StorageUnits

extension SimulatedDevice {
  public func read(at offset: DeviceByteOffset, into buffer: UnsafeMutableRawBufferPointer)
    throws(DeviceError)
  {
    try check(.read, offset, buffer.count)
    guard crashPoint.admit() else { throw interrupted(.read) }
    if case .error(let errno) = begin(.read, length: buffer.count) {
      throw failure(.read, errno)
    }
    unsafe state.visible.read(at: offset.bytes, into: buffer)
  }

  public func write(at offset: DeviceByteOffset, from buffer: UnsafeRawBufferPointer)
    throws(DeviceError)
  {
    try check(.write, offset, buffer.count)
    guard crashPoint.admit() else {
      // The one write that the crash interrupts has reached the device; after it, nothing does.
      if crashPoint.interrupt() {
        _ = unsafe submitWrite(at: offset, length: buffer.count, bytes: [UInt8](buffer))
      }
      throw failure(.write, SimulatedErrno.inputOutput)
    }
    let effect = begin(.write, length: buffer.count)
    if case .error(SimulatedErrno.noDevice) = effect {
      throw failure(.write, SimulatedErrno.noDevice)
    }
    let sequence = unsafe submitWrite(at: offset, length: buffer.count, bytes: [UInt8](buffer))
    switch effect {
    case .error(let errno):
      completeWrite(sequence, fate: .prefix(atoms: atoms(of: buffer.count) / 2))
      throw failure(.write, errno)
    case .lostWrite: completeWrite(sequence, fate: .absent)
    case .misdirectedWrite(let distance): completeWrite(sequence, movedByBytes: distance)
    default: completeWrite(sequence)
    }
  }

  public func flush() throws(DeviceError) {
    guard crashPoint.admit() else { throw interrupted(.flush) }
    switch begin(.flush, length: 0) {
    case .error(let errno):
      failFlush(sample: flushSample)
      throw failure(.flush, errno)
    case .lyingFlush: return
    default: completeFlush(sample: flushSample)
    }
  }

  private func check(_ operation: DeviceError.Operation, _ offset: DeviceByteOffset, _ count: Int)
    throws(DeviceError)
  {
    precondition(offset.bytes % 4096 == 0)
    precondition(count % 4096 == 0)
    guard contains(offset, length: count) else {
      throw failure(operation, SimulatedErrno.inputOutput)
    }
  }

  private func interrupted(_ operation: DeviceError.Operation) -> DeviceError {
    _ = crashPoint.interrupt()
    return failure(operation, SimulatedErrno.inputOutput)
  }

  private func failure(_ operation: DeviceError.Operation, _ errno: Int32) -> DeviceError {
    DeviceError(operation, device: name, errno: errno)
  }
}
