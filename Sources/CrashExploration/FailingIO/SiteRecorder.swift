import BlockIO
import DiskFormat
import StorageUnits
import VolumeEngine

/// Names the site of each I/O of a run, in the order in which devices are given them.
final class SiteRecorder {
  /// An I/O of a run: the `number`-th of its kind on its device.
  struct Visit: Hashable {
    var site: IOSite
    var device: Int
    var operation: IOCommand.Operation
    var number: Int
    /// In bytes, on the device.
    var offset: UInt64
    var length: Int
  }

  private(set) var visits: [Visit] = []
  private var stage = IOSite.Stage.creation
  private var step = Step.beginning
  private var counts: [Key: Int] = [:]
  /// By device: where its segments begin, and its journal ring, in bytes.
  private let segmentsBegin: [UInt64]
  private let journals: [Range<UInt64>]

  private struct Key: Hashable {
    var device: Int
    var operation: IOCommand.Operation
  }

  /// How far a creation or a start is, as its writes tell.
  private enum Step { case beginning, completing, image, superblocks }

  init(_ layout: PoolLayout, deviceCount: Int) {
    segmentsBegin = layout.devices.map { $0.firstSegmentBlock << 12 }
    var journals = [Range<UInt64>](repeating: 0..<0, count: deviceCount)
    for place in [layout.stream.place, layout.stream.secondPlace].compactMap({ $0 }) {
      let start = place.byteOffset.bytes
      journals[Int(place.device.index)] = start..<start + UInt64(layout.stream.blockCount) * 4096
    }
    self.journals = journals
  }

  func begin(_ stage: IOSite.Stage) {
    self.stage = stage
    step = .beginning
  }

  /// A synchronous operation of a creation or a start.
  func note(_ operation: IOCommand.Operation, device: Int, offset: UInt64, length: Int) {
    let site =
      stage == .creation
      ? creationSite(operation, device, offset)
      : openingSite(operation, device, offset, length)
    visit(site, operation, device, offset, length)
  }

  /// A command of the engine.
  func note(_ command: IOCommand, _ purpose: CommandPurpose) {
    let device = Int(command.device.index)
    let site = IOSite(
      purpose, isInSystemArea: command.offset.bytes < segmentsBegin[device])
    visit(site, command.operation, device, command.offset.bytes, command.length)
  }

  private func visit(
    _ site: IOSite, _ operation: IOCommand.Operation, _ device: Int, _ offset: UInt64,
    _ length: Int
  ) {
    let key = Key(device: device, operation: operation)
    counts[key, default: 0] += 1
    visits.append(
      Visit(
        site: site, device: device, operation: operation, number: counts[key] ?? 0,
        offset: offset, length: length))
  }

  private static let superblocksEnd: UInt64 = 1 << 20

  private func creationSite(
    _ operation: IOCommand.Operation, _ device: Int, _ offset: UInt64
  ) -> IOSite {
    switch operation {
    case .read: return .creationSuperblockRead
    case .write where offset < Self.superblocksEnd:
      if step == .beginning { return .creationErase }
      step = .superblocks
      return .creationSuperblockWrite
    case .write:
      step = .image
      return offset < segmentsBegin[device] ? .creationTableWrite : .creationNodeWrite
    default:
      switch step {
      case .beginning, .completing: return .creationEraseBarrier
      case .image: return .creationImageBarrier
      case .superblocks: return .creationSuperblockBarrier
      }
    }
  }

  private func openingSite(
    _ operation: IOCommand.Operation, _ device: Int, _ offset: UInt64, _ length: Int
  ) -> IOSite {
    switch operation {
    case .read:
      if offset < Self.superblocksEnd { return .openingSuperblockRead }
      if journals[device].contains(offset) {
        // The scan reads many blocks at once, the replay one after the other.
        return length > 4096 ? .openingJournalScan : .openingJournalReplay
      }
      return offset < segmentsBegin[device] ? .openingTableRead : .openingNodeRead
    case .write where offset < Self.superblocksEnd:
      if step == .beginning || step == .completing {
        step = .completing
        return .openingSuperblockCompletion
      }
      step = .superblocks
      return .openingSuperblockWrite
    case .write:
      step = .image
      return offset < segmentsBegin[device] ? .openingTableWrite : .openingNodeWrite
    default:
      switch step {
      case .beginning: return .openingFirstBarrier
      case .completing: return .openingCompletionBarrier
      case .image: return .openingImageBarrier
      case .superblocks: return .openingSuperblockBarrier
      }
    }
  }
}
