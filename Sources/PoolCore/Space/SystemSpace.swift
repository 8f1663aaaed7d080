import DiskFormat
import StorageUnits

/// The blocks of the system area that pages of the segment table may take: beside the journal, on
/// the devices of the journal. Its map of free blocks is rebuilt at every start.
struct SystemSpace {
  private let first: DeviceIndex
  private let second: DeviceIndex?
  private var free: [DeviceIndex: [UInt64]] = [:]
  /// Blocks of the last image that the one being written replaces.
  private var replaced: [DevicePlace] = []

  /// Everything in the system ranges of the journal's devices but the journal and `used` is free.
  init(
    stream: JournalStream, ranges: [DeviceIndex: [SystemRange]], used: [SystemPointer]
  ) {
    first = stream.place.device
    second = stream.secondPlace?.device
    var taken = Set<DevicePlace>()
    for pointer in used {
      taken.insert(pointer.place)
      if let place = pointer.secondPlace { taken.insert(place) }
    }
    for journal in [stream.place, stream.secondPlace].compactMap({ $0 }) {
      var blocks: [UInt64] = []
      for range in ranges[journal.device] ?? [] {
        for block in range.firstBlock..<range.firstBlock + range.blockCount {
          if block >= journal.block && block < journal.block + UInt64(stream.blockCount) {
            continue
          }
          if taken.contains(DevicePlace(device: journal.device, block: block)) { continue }
          blocks.append(block)
        }
      }
      free[journal.device] = blocks.reversed()
    }
  }

  /// Takes a place for one page, on each of the devices. Creation sizes the area so that two images
  /// always fit.
  mutating func take() -> (DevicePlace, DevicePlace?) {
    guard let block = free[first]?.popLast() else { preconditionFailure("the system area is full") }
    let place = DevicePlace(device: first, block: block)
    guard let second else { return (place, nil) }
    guard let other = free[second]?.popLast() else {
      preconditionFailure("the system area is full")
    }
    return (place, DevicePlace(device: second, block: other))
  }

  /// The page is not part of the image being written; free once that is durable.
  mutating func replace(_ pointer: SystemPointer) {
    replaced.append(pointer.place)
    if let place = pointer.secondPlace { replaced.append(place) }
  }

  mutating func checkpointCompleted() {
    for place in replaced { free[place.device]?.append(place.block) }
    replaced = []
  }
}
