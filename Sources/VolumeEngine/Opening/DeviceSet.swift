public import BlockIO
import DiskFormat
public import StorageUnits

/// The devices of a pool by index, while it is created or opened: one operation at a time.
public struct DeviceSet {
  /// By index.
  public let members: [DeviceIndex: any SynchronousDevice]

  public init(_ members: [DeviceIndex: any SynchronousDevice]) {
    precondition(!members.isEmpty)
    self.members = members
  }

  /// In the order of their indices.
  public var indices: [DeviceIndex] { members.keys.sorted() }

  func device(_ index: DeviceIndex) -> any SynchronousDevice {
    guard let device = members[index] else { preconditionFailure("a place names a member") }
    return device
  }

  /// Whether the place and the blocks after it lie on a member.
  func contains(_ place: DevicePlace, blockCount: UInt64) -> Bool {
    guard let device = members[place.device] else { return false }
    let blocks = device.sizeBytes >> 12
    return place.block <= blocks && blockCount <= blocks - place.block
  }

  func write(
    _ bytes: UnsafeRawBufferPointer, at first: DevicePlace, _ second: DevicePlace?
  ) throws(DeviceError) {
    try unsafe device(first.device).write(at: first.byteOffset, from: bytes)
    guard let second else { return }
    try unsafe device(second.device).write(at: second.byteOffset, from: bytes)
  }

  /// Makes every earlier write on every member durable.
  func flushAll() throws(DeviceError) {
    for index in indices { try device(index).flush() }
  }
}
