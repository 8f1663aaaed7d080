import CBlockIO
import Glibc
public import StorageUnits

extension Reactor {
  /// Serves the device's commands under this index from now on. The reactor keeps the device open
  /// until `detach`.
  public func attach(_ device: FileDevice, as index: DeviceIndex) throws(RingError) {
    try becomeOwner()
    precondition(unsafe deviceSlots[Int(index.index)] == 0xFF, "the index is taken")
    guard let slot = attached.firstIndex(where: { $0 == nil }) else {
      preconditionFailure("more than \(Self.deviceCapacity) devices")
    }
    attached[slot] = device
    let registered =
      hasRegisteredFiles && ring.setRegisteredFile(slot, descriptor: device.descriptor)
    unsafe devices[slot] = DeviceSlot(
      descriptor: device.descriptor, isRegistered: registered, isBlockDevice: device.isBlockDevice)
    unsafe deviceSlots[Int(index.index)] = UInt8(slot)
    if device.isBlockDevice && discards == nil {
      discards = DiscardThread(capacity: commandCapacity, waker: waker)
    }
  }

  /// Forgets the device; none of its commands may be in flight. The caller closes it.
  public func detach(_ index: DeviceIndex) {
    let slot = Int(unsafe deviceSlots[Int(index.index)])
    precondition(slot != 0xFF, "no such device")
    if unsafe devices[slot].isRegistered { _ = ring.setRegisteredFile(slot, descriptor: -1) }
    unsafe deviceSlots[Int(index.index)] = 0xFF
    attached[slot] = nil
  }

  /// How many more commands `submit` takes before some have completed.
  @inline(__always) public var freeCommandSlotCount: Int { freeCommandCount }

  /// Queues the command; the next `turn` submits it. Its completion comes exactly once as an `.io`
  /// event. Not more than `freeCommandSlotCount` at a time.
  public func submit(_ command: IOCommand) {
    precondition(freeCommandCount > 0, "more commands than commandCapacity")
    precondition(unsafe deviceSlots[Int(command.device.index)] != 0xFF, "no such device")
    freeCommandCount &-= 1
    let slot = unsafe freeCommands[freeCommandCount]
    unsafe (commands + Int(slot)).initialize(to: CommandSlot(command))
    if command.operation == .punchHole || command.operation == .reserveSpace {
      if unsafe device(of: command).pointee.isBlockDevice {
        submitToBlockDevice(command, slot: slot)
        return
      }
    }
    issue(OperationTag(.command, index: slot))
  }

  /// Space operations of block devices: nothing to reserve; discards go to a thread of their own,
  /// because the ioctl blocks for as long as the device likes.
  private func submitToBlockDevice(_ command: IOCommand, slot: UInt32) {
    unsafe commands[Int(slot)].isNotice = true
    guard command.operation == .punchHole, let discards else {
      issue(OperationTag(.command, index: slot))
      return
    }
    discards.post(
      DiscardThread.Job(
        slot: slot, descriptor: unsafe device(of: command).pointee.descriptor,
        offset: command.offset.bytes, length: UInt64(command.length)))
  }

  /// Lets the commands complete that the discard thread has done.
  func collectDiscards() {
    guard let discards else { return }
    while let done = discards.nextDone() {
      // A device without discard keeps its old bytes, which `punchHole` allows.
      let unsupported = done.errno == EOPNOTSUPP || done.errno == ENOTTY
      unsafe commands[Int(done.slot)].preset = unsupported ? 0 : done.errno
      issue(OperationTag(.command, index: done.slot))
    }
  }

  @inline(__always) private func device(of command: IOCommand)
    -> UnsafeMutablePointer<DeviceSlot>
  {
    unsafe devices + Int(deviceSlots[Int(command.device.index)])
  }

  func pushCommand(_ tag: OperationTag) -> Bool {
    let slot = unsafe commands + tag.index
    let command = unsafe slot.pointee.command
    if unsafe slot.pointee.isNotice {
      return ring.push(IORING_OP_NOP, file: -1, tag: tag.bits)
    }
    let device = unsafe device(of: command)
    let registered = unsafe device.pointee.isRegistered
    let file =
      unsafe registered
      ? Int32(truncatingIfNeeded: deviceSlots[Int(command.device.index)])
      : device.pointee.descriptor
    var flags = registered ? LAMINA_SQE_FIXED_FILE : 0
    switch command.operation {
    case .read, .write:
      if unsafe slot.pointee.retries > 0 { flags |= LAMINA_SQE_ASYNC }
      let done = unsafe slot.pointee.done
      // A length of 32 bits with room for alignment; the rest is continued like a short transfer.
      let length = UInt32(truncatingIfNeeded: min(command.length - done, 1 << 30))
      return unsafe ring.push(
        command.operation == .read ? IORING_OP_READ : IORING_OP_WRITE, flags: flags, file: file,
        offset: command.offset.bytes + UInt64(done),
        address: UInt64(UInt(bitPattern: command.buffer)) + UInt64(done), length: length,
        tag: tag.bits)
    case .flush:
      return ring.push(
        IORING_OP_FSYNC, flags: flags | LAMINA_SQE_ASYNC, file: file,
        options: LAMINA_FSYNC_DATASYNC, tag: tag.bits)
    case .reserveSpace, .punchHole:
      // `IORING_OP_FALLOCATE` takes the mode in `len` and the length in `addr`.
      return ring.push(
        IORING_OP_FALLOCATE, flags: flags | LAMINA_SQE_ASYNC, file: file,
        offset: command.offset.bytes, address: UInt64(command.length),
        length: command.operation == .punchHole ? LAMINA_PUNCH_HOLE : 0, tag: tag.bits)
    }
  }

  /// Ends the command or continues it.
  func commandEnded(_ index: Int, result: Int32) -> ReactorEvent? {
    let slot = unsafe commands + index
    if unsafe slot.pointee.isNotice {
      return endCommand(index, errno: unsafe slot.pointee.preset)
    }
    if result < 0 {
      // "Again" comes when the kernel is short of requests; it is forced off this thread then.
      let again = result == -EAGAIN || result == -EINTR
      guard again, unsafe slot.pointee.retries < 16 else {
        return endCommand(index, errno: endErrno(-result, of: unsafe slot.pointee.command))
      }
      unsafe slot.pointee.retries += 1
      issue(OperationTag(.command, index: UInt32(index)))
      return nil
    }
    let command = unsafe slot.pointee.command
    guard command.operation == .read || command.operation == .write else {
      return endCommand(index, errno: 0)
    }
    unsafe slot.pointee.done += Int(result)
    let done = unsafe slot.pointee.done
    if done == command.length { return endCommand(index, errno: 0) }
    // A read that ends inside a sector has met the end of the file; a write just goes on.
    if result == 0 || (command.operation == .read && done % StorageSizes.sectorBytes != 0) {
      return endCommand(index, errno: endOfFile(command, done: done))
    }
    issue(OperationTag(.command, index: UInt32(index)))
    return nil
  }

  /// A file system without `fallocate` (or hole punching) has nothing to reserve or give back.
  private func endErrno(_ errno: Int32, of command: IOCommand) -> Int32 {
    let isSpace = command.operation == .reserveSpace || command.operation == .punchHole
    return isSpace && errno == EOPNOTSUPP ? 0 : errno
  }

  /// A file that has not grown so far reads as zeros; anything else is damage.
  private func endOfFile(_ command: IOCommand, done: Int) -> Int32 {
    guard command.operation == .read, unsafe !device(of: command).pointee.isBlockDevice,
      let buffer = unsafe command.buffer
    else { return EIO }
    _ = unsafe memset(buffer + done, 0, command.length - done)
    return 0
  }

  @inline(__always) private func endCommand(_ index: Int, errno: Int32) -> ReactorEvent {
    let token = unsafe commands[index].command.token
    unsafe freeCommands[freeCommandCount] = UInt32(truncatingIfNeeded: index)
    freeCommandCount &+= 1
    return .io(IOCompletion(token: token, errno: errno))
  }
}
