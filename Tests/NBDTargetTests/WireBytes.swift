import BlockExport
import StorageUnits

@testable import NBDTarget

/// What a client would send, field by field.
enum Wire {
  static let fixedNoZeroes: [UInt8] = [0, 0, 0, 3]

  static func option(_ number: UInt32, _ data: [UInt8] = []) -> [UInt8] {
    option(number, length: UInt32(data.count), data)
  }

  /// An option whose length field says something of its own.
  static func option(_ number: UInt32, length: UInt32, _ data: [UInt8]) -> [UInt8] {
    var bytes = Array("IHAVEOPT".utf8)
    bytes.append(bigEndian: number)
    bytes.append(bigEndian: length)
    return bytes + data
  }

  static func string(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: UInt32(text.utf8.count))
    return bytes + Array(text.utf8)
  }

  static func info(_ name: String, _ types: [UInt16] = []) -> [UInt8] {
    var bytes = string(name)
    bytes.append(bigEndian: UInt16(types.count))
    for type in types { bytes.append(bigEndian: type) }
    return bytes
  }

  static func metaContext(_ name: String, _ queries: [String]) -> [UInt8] {
    var bytes = string(name)
    bytes.append(bigEndian: UInt32(queries.count))
    return bytes + queries.flatMap(string)
  }

  static func optionReply(_ option: UInt32, _ type: UInt32, _ data: [UInt8] = []) -> [UInt8] {
    var bytes: [UInt8] = [0x00, 0x03, 0xE8, 0x89, 0x04, 0x55, 0x65, 0xA9]
    bytes.append(bigEndian: option)
    bytes.append(bigEndian: type)
    bytes.append(bigEndian: UInt32(data.count))
    return bytes + data
  }

  static func request(
    _ type: UInt16, flags: UInt16 = 0, cookie: UInt64 = 1, offset: UInt64 = 0, length: UInt32 = 0,
    _ payload: [UInt8] = []
  ) -> [UInt8] {
    var bytes: [UInt8] = [0x25, 0x60, 0x95, 0x13]
    bytes.append(bigEndian: flags)
    bytes.append(bigEndian: type)
    bytes.append(bigEndian: cookie)
    bytes.append(bigEndian: offset)
    bytes.append(bigEndian: length)
    return bytes + payload
  }

  /// With extended headers.
  static func extendedRequest(
    _ type: UInt16, flags: UInt16 = 0, cookie: UInt64 = 1, offset: UInt64 = 0, length: UInt64 = 0,
    _ payload: [UInt8] = []
  ) -> [UInt8] {
    var bytes: [UInt8] = [0x21, 0xE4, 0x1C, 0x71]
    bytes.append(bigEndian: flags)
    bytes.append(bigEndian: type)
    bytes.append(bigEndian: cookie)
    bytes.append(bigEndian: offset)
    bytes.append(bigEndian: length)
    return bytes + payload
  }

  /// A reply with extended headers, to a request for `offset`.
  static func extendedChunk(
    _ cookie: UInt64, type: UInt16, done: Bool = true, offset: UInt64, _ payload: [UInt8] = []
  ) -> [UInt8] {
    var bytes: [UInt8] = [0x6E, 0x8A, 0x27, 0x8C]
    bytes.append(bigEndian: UInt16(done ? 1 : 0))
    bytes.append(bigEndian: type)
    bytes.append(bigEndian: cookie)
    bytes.append(bigEndian: offset)
    bytes.append(bigEndian: UInt64(payload.count))
    return bytes + payload
  }

  static func simpleReply(_ cookie: UInt64, error: UInt32 = 0, _ data: [UInt8] = []) -> [UInt8] {
    var bytes: [UInt8] = [0x67, 0x44, 0x66, 0x98]
    bytes.append(bigEndian: error)
    bytes.append(bigEndian: cookie)
    return bytes + data
  }

  static func chunk(_ cookie: UInt64, type: UInt16, done: Bool, _ payload: [UInt8] = []) -> [UInt8]
  {
    var bytes: [UInt8] = [0x66, 0x8E, 0x33, 0xEF]
    bytes.append(bigEndian: UInt16(done ? 1 : 0))
    bytes.append(bigEndian: type)
    bytes.append(bigEndian: cookie)
    bytes.append(bigEndian: UInt32(payload.count))
    return bytes + payload
  }

  static func dataChunk(_ cookie: UInt64, offset: UInt64, done: Bool, _ data: [UInt8]) -> [UInt8] {
    chunk(cookie, type: 1, done: done, bigEndian(offset) + data)
  }

  static func errorChunk(_ cookie: UInt64, _ error: UInt32) -> [UInt8] {
    chunk(cookie, type: 0x8001, done: true, bigEndian(error) + [0, 0])
  }

  static func errorOffsetChunk(
    _ cookie: UInt64, _ error: UInt32, offset: UInt64, done: Bool
  ) -> [UInt8] {
    chunk(cookie, type: 0x8002, done: done, bigEndian(error) + [0, 0] + bigEndian(offset))
  }

  static func bigEndian(_ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: value)
    return bytes
  }

  static func bigEndian(_ value: UInt32) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(bigEndian: value)
    return bytes
  }
}

/// Volumes that exist only by their description.
struct ListedExports: ExportDirectory {
  var exports: [ExportDescription]
  /// Of every export.
  var bases: [NamedExportBase] = []

  init(_ exports: [ExportDescription]) { self.exports = exports }

  func changeBases(of volume: VolumeID, atMost: Int) -> [NamedExportBase] {
    Array(bases.prefix(atMost))
  }

  func changeBase(named name: String, of volume: VolumeID) -> ExportBase? {
    bases.first { $0.name == name }?.base
  }

  func export(named name: String) -> ExportDescription? { exports.first { $0.name == name } }
  func exportNames() -> [String] { exports.map(\.name) }

  static func volume(
    _ number: UInt64, _ name: String, bytes: UInt64 = 1 << 30, block: Int = 512,
    readOnly: Bool = false
  ) -> ExportDescription {
    ExportDescription(
      volume: VolumeID(number), name: name, uuid: StorageUUID(high: number, low: 7),
      sizeBytes: bytes, logicalBlockBytes: block, isReadOnly: readOnly)
  }

  static let two = ListedExports([volume(1, "alpha"), volume(2, "beta", block: 4096)])
}
