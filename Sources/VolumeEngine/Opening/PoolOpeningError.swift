public import BlockIO
public import DiskFormat
public import PoolCore
public import StorageUnits

/// Why a pool was not opened. Nothing was changed, unless the checkpoint that ends a start had
/// begun; the pool is then as it was before the start.
public enum PoolOpeningError: Error, Hashable, Sendable, CustomStringConvertible {
  case noDevices
  /// No copy of a superblock is on the device.
  case notAPoolDevice(String)
  /// Every copy of the superblock is damaged.
  case superblockDamaged(String, FormatError)
  case unknownVersion(String)
  case unknownFeatures(String, UInt64)
  case foreignDevice(String, pool: String, expected: String)
  case duplicateDevice(String, String)
  case notAMember(String, pool: String)
  case expelledMember(String, pool: String)
  case memberMissing(pool: String, uuid: StorageUUID, index: DeviceIndex)
  /// An old copy of a member, or one whose newest superblock is damaged.
  case staleMember(String, has: UInt64, newest: UInt64)
  case deviceShrunk(String, sizeBytes: UInt64, recordedBytes: UInt64)
  /// Only a program with this apply version can replay what the pool holds.
  case otherApplyVersion(UInt16)
  /// The start would need more memory than it may take.
  case needsMoreMemory(bytes: UInt64, limit: UInt64)
  case tableDamaged(TableDamage)
  case superblockContradictsDevices(String)
  case journal(JournalScanError)
  /// A record of the journal or the tail does not fit the state before it.
  case badRecord(RecordNumber, FormatError)
  /// Replay or the checkpoint after it has no space for nodes.
  case noSpace
  case device(DeviceError)

  public var description: String {
    switch self {
    case .noDevices: "no device was named: a pool has at least one"
    case .notAPoolDevice(let name):
      "\(name) carries no Lamina superblock: check the path, or create a pool on it first"
    case .superblockDamaged(let name, let problem):
      "every copy of the superblock on \(name) is damaged (\(problem)): "
        + "check the device and its cabling, then restore the device from a copy"
    case .unknownVersion(let name):
      "\(name) was written in a newer format: use the version of Lamina that wrote it, or a "
        + "newer one"
    case .unknownFeatures(let name, let bits):
      "\(name) uses features that this version does not know (0x\(String(bits, radix: 16))): "
        + "use the version of Lamina that wrote it, or a newer one"
    case .foreignDevice(let name, let pool, let expected):
      "\(name) belongs to pool \(pool), not to \(expected): take it out of the pool's list of "
        + "devices"
    case .duplicateDevice(let name, let other):
      "\(name) and \(other) are the same member: one is a copy or another path; remove it from the "
        + "list of devices"
    case .notAMember(let name, let pool):
      "\(name) is not a member of pool \(pool) any more: take it out of the list of devices"
    case .expelledMember(let name, let pool):
      "\(name) was expelled from pool \(pool) and holds old data: take it out of the list of "
        + "devices"
    case .memberMissing(let pool, let uuid, let index):
      "device \(index.index) of pool \(pool) (\(uuid)) is missing: attach it, or add its path to "
        + "the "
        + "list of devices"
    case .staleMember(let name, let has, let newest):
      "\(name) is older than the rest of its pool (superblock \(has), newest \(newest)): it is "
        + "an old "
        + "copy, or its newest superblock is damaged; attach the true device"
    case .deviceShrunk(let name, let size, let recorded):
      "\(name) has \(size) bytes, \(recorded) were recorded: give it back its size"
    case .otherApplyVersion(let version):
      "the pool was not stopped cleanly by a version of Lamina with apply version \(version): "
        + "open and "
        + "stop it with that version first"
    case .needsMoreMemory(let bytes, let limit):
      "the start needs \(bytes) bytes of memory and may take \(limit): raise the limit"
    case .tableDamaged(let damage):
      "the \(damage.table.rawValue) is damaged at block \(damage.place.block) of device "
        + "\(damage.place.device.index) (\(damage.problem)), and no other copy is good: check "
        + "the pool"
    case .superblockContradictsDevices(let what):
      "the superblock contradicts the devices (\(what)): check the pool"
    case .journal(let problem): Self.text(problem)
    case .badRecord(let number, let problem):
      "record \(number.number) does not fit the state before it (\(problem)): check the pool"
    case .noSpace:
      "no space is left for the tables that a start must write: copy the devices, and read them "
        + "with a version of Lamina that can give the pool more"
    case .device(let problem): problem.description
    }
  }

  private static func text(_ problem: JournalScanError) -> String {
    switch problem {
    case .superblockOlderThanJournal(let superblock, let named):
      "the journal was continued under superblock \(named), but the newest one found is "
        + "\(superblock): a newer superblock is lost; attach the true devices"
    case .durableBlockLost(let sequence, let by):
      "journal block \(sequence) was durable (block \(by) says so) and is damaged in every place: "
        + "check the pool"
    case .blockUnreadable(let sequence):
      "journal block \(sequence) cannot be read and may hold what hosts have flushed: copy the "
        + "device to a good one, or check the pool"
    case .brokenChain(let sequence):
      "journal block \(sequence) does not continue the one before: check the pool"
    case .recordGap(let sequence, let expected):
      "journal block \(sequence) does not begin with record "
        + "\(expected.map { String($0.number) } ?? "S + 1"): check the pool"
    case .otherApplyVersion(let version): Self.otherApplyVersion(version).description
    case .unreadableRecords(let sequence):
      "journal block \(sequence) holds records that this version does not know: use the version of "
        + "Lamina that wrote it, or a newer one"
    }
  }
}
