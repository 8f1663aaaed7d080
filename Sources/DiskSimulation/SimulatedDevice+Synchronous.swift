public import BlockIO
public import StorageUnits

extension SimulatedDevice {
  public func read(at offset: DeviceByteOffset, into buffer: UnsafeMutableRawBufferPointer)
    throws(DeviceError)
  {
    try check(.read, offset, buffer.count)
    atSynchronousCall(.read, offset, buffer.count)
    guard crashPoint.admit() else { throw interrupted(.read) }
    switch unsafe begin(.read, at: offset, length: buffer.count) {
    case .error(let errno): throw failure(.read, errno)
    case .short(let count, let errno):
      unsafe state.visible.read(at: offset.bytes, into: .init(rebasing: buffer[..<count]))
      throw failure(.read, errno)
    default: unsafe state.visible.read(at: offset.bytes, into: buffer)
    }
    if notesPagesRead { notePagesRead(at: offset.bytes, count: buffer.count) }
  }

  /// Notes what a synchronous read saw.
  private func notePagesRead(at offset: UInt64, count: Int) {
    SparseBytes.forEachPiece(at: offset, count: count) { page, _, _, _ in
      guard let stored = state.visible[page] else {
        zeroPagesRead.insert(page)
        return
      }
      if stored.isHostData { hasReadHostData = true }
    }
  }

  public func write(at offset: DeviceByteOffset, from buffer: UnsafeRawBufferPointer)
    throws(DeviceError)
  {
    try check(.write, offset, buffer.count)
    atSynchronousCall(.write, offset, buffer.count)
    guard crashPoint.admit() else {
      // The one write that the crash interrupts has reached the device; after it, nothing does.
      if crashPoint.interrupt() {
        _ = unsafe submitWrite(at: offset, length: buffer.count, bytes: buffer)
      }
      throw failure(.write, SimulatedErrno.inputOutput)
    }
    let effect = unsafe begin(.write, at: offset, length: buffer.count, bytes: buffer)
    if case .error(let errno) = effect, SimulatedErrno.changesNothing(errno) {
      throw failure(.write, errno)
    }
    let sequence = unsafe submitWrite(at: offset, length: buffer.count, bytes: buffer)
    switch effect {
    case .error(let errno):
      completeWrite(sequence, fate: .prefix(atoms: atoms(of: buffer.count) / 2))
      throw failure(.write, errno)
    case .short(let count, let errno):
      completeWrite(sequence, fate: .prefix(atoms: count / logicalBlockBytes))
      throw failure(.write, errno)
    case .lostWrite: completeWrite(sequence, fate: .absent)
    case .misdirectedWrite(let distance): completeWrite(sequence, movedByBytes: distance)
    default: completeWrite(sequence)
    }
  }

  public func flush() throws(DeviceError) {
    atSynchronousCall(.flush, DeviceByteOffset(0 as UInt64), 0)
    guard crashPoint.admit() else { throw interrupted(.flush) }
    switch unsafe begin(.flush, at: DeviceByteOffset(0 as UInt64), length: 0) {
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
