import BlockExport
import Glibc
import StorageUnits

/// Volumes in memory behind a session, and what every target owes the engine.
@safe final class FuzzedEngine {
  private var contents: [VolumeID: [UInt8]] = [:]
  private let exports: [VolumeID: ExportDescription]
  private(set) var pending: [ExportRequest] = []
  private(set) var requestCount = 0
  private(set) var extents: [BlockStatusExtent] = []

  init(_ exports: [ExportDescription]) {
    self.exports = Dictionary(uniqueKeysWithValues: exports.map { ($0.volume, $0) })
  }

  /// Made when it is first touched: inputs that do not are many, and quick.
  private func prepare(_ volume: VolumeID) {
    guard contents[volume] == nil, let export = exports[volume] else { return }
    contents[volume] = [UInt8](repeating: 0x5A, count: Int(export.sizeBytes))
  }

  func take(_ request: ExportRequest) throws(BrokenProperty) {
    requestCount += 1
    guard let export = exports[request.volume] else {
      throw BrokenProperty("a request for a volume that is not served")
    }
    let end = request.offset.addingReportingOverflow(request.length)
    try BrokenProperty.unless(
      !end.overflow && end.partialValue <= export.sizeBytes, "a request beyond the volume's end")
    let mask = UInt64(export.logicalBlockBytes - 1)
    try BrokenProperty.unless(
      (request.offset | request.length) & mask == 0, "a request that is not aligned")
    try BrokenProperty.unless(
      !pending.contains { $0.token == request.token }, "two requests with one token")
    switch request.operation {
    case .read, .write: try checkData(request)
    case .flush, .discard, .writeZeroes, .blockStatus:
      try BrokenProperty.unless(unsafe request.buffer == nil, "a buffer that has no use")
    }
    switch request.operation {
    case .write, .discard, .writeZeroes:
      try BrokenProperty.unless(!export.isReadOnly, "a change of a read-only volume")
    case .read, .flush, .blockStatus: break
    }
    pending.append(request)
  }

  private func checkData(_ request: ExportRequest) throws(BrokenProperty) {
    guard let range = Self.blocks(request), request.length > 0 else {
      throw BrokenProperty("data without a buffer")
    }
    let window = UInt64(ExportLimits.windowBytes)
    try BrokenProperty.unless(
      request.offset / window == (request.offset + request.length - 1) / window,
      "a request over two windows")
    try BrokenProperty.unless(
      UInt64(UInt(bitPattern: unsafe request.buffer)) % 4096 == request.offset % 4096,
      "a buffer that is not aligned as its range")
    for other in pending {
      guard let taken = Self.blocks(other) else { continue }
      try BrokenProperty.unless(!taken.overlaps(range), "two requests share a block of a buffer")
    }
  }

  private static func blocks(_ request: ExportRequest) -> Range<UInt>? {
    guard let buffer = unsafe request.buffer else { return nil }
    let first = UInt(bitPattern: buffer)
    return first / 4096..<(first + UInt(request.length) + 4095) / 4096
  }

  /// Carries out the pending request at `index`, or fails it.
  func answer(_ index: Int, failing error: ExportError?) -> ExportAnswer {
    let request = pending.remove(at: index)
    if let error { return ExportAnswer(token: request.token, error: error) }
    prepare(request.volume)
    var answer = ExportAnswer(token: request.token, error: nil)
    let range = Int(request.offset)..<Int(request.offset + request.length)
    switch request.operation {
    case .read: copy(request, range, isWrite: false)
    case .write: copy(request, range, isWrite: true)
    case .discard, .writeZeroes:
      contents[request.volume]?.replaceSubrange(
        range, with: repeatElement(0, count: range.count))
    case .flush: break
    case .blockStatus:
      let half = max(512, request.length / 1024 * 512)
      extents = [BlockStatusExtent(length: half, isHole: true, readsAsZeros: true)]
      if request.length > half && !request.flags.contains(.oneExtent) {
        extents.append(
          BlockStatusExtent(length: request.length - half, isHole: false, readsAsZeros: false))
      }
      answer.extentCount = extents.count
    }
    return answer
  }

  private func copy(_ request: ExportRequest, _ range: Range<Int>, isWrite: Bool) {
    guard let buffer = unsafe request.buffer else { return }
    unsafe contents[request.volume]?.withUnsafeMutableBytes { bytes in
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
      let data = unsafe UnsafeMutableRawBufferPointer(start: buffer, count: range.count)
      if isWrite {
        unsafe part.copyMemory(from: UnsafeRawBufferPointer(data))
      } else {
        unsafe data.copyMemory(from: UnsafeRawBufferPointer(part))
      }
    }
  }
}

/// The exports that a fuzzed client finds.
struct FuzzedExports: ExportDirectory {
  var all: [ExportDescription]

  func export(named name: String) -> ExportDescription? { all.first { $0.name == name } }
  func exportNames() -> [String] { all.map(\.name) }

  private static let bases = [
    NamedExportBase(name: "monday", base: .snapshot(VolumeID(9))),
    NamedExportBase(name: "#mark", base: .bookmark(7)),
  ]

  func changeBases(of volume: VolumeID, atMost: Int) -> [NamedExportBase] {
    Array(Self.bases.prefix(atMost))
  }

  func changeBase(named name: String, of volume: VolumeID) -> ExportBase? {
    Self.bases.first { $0.name == name }?.base
  }

  /// One volume of each kind; the names are long, so that a list needs more than one piece.
  static let few = FuzzedExports(all: [
    volume(1, "alpha", bytes: 3 << 20, block: 512),
    volume(2, "beta", bytes: 1 << 20, block: 4096),
    volume(3, "gamma", bytes: 1 << 20, block: 512, isReadOnly: true),
  ])

  static let many = FuzzedExports(
    all: few.all
      + (4..<150).map {
        volume(
          $0, "volume-" + String(repeating: "x", count: 100) + "\($0)", bytes: 4096, block: 512)
      })

  private static func volume(
    _ number: UInt64, _ name: String, bytes: UInt64, block: Int, isReadOnly: Bool = false
  ) -> ExportDescription {
    ExportDescription(
      volume: VolumeID(number), name: name, uuid: StorageUUID(high: number, low: 7),
      sizeBytes: bytes, logicalBlockBytes: block, isReadOnly: isReadOnly)
  }
}
