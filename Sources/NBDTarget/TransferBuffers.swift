import BlockExport
import StorageUnits

/// The sizes that data buffers come in, smallest first.
enum BufferClass: Int, Sendable, CaseIterable {
  case small, medium, window

  /// 4 KiB requests at any alignment; 64 KiB ones at any alignment; one window.
  var bytes: Int {
    switch self {
    case .small: 8 << 10
    case .medium: 68 << 10
    case .window: ExportLimits.windowBytes
    }
  }

  /// The smallest class that holds every 4096-byte block of the range. A range that does not cross
  /// a multiple of 1 MiB always fits one.
  static func holding(offset: UInt64, length: Int) -> BufferClass {
    let block = StorageSizes.blockBytes
    let footprint = (Int(offset % UInt64(block)) + length + block - 1) / block * block
    if footprint <= BufferClass.small.bytes { return .small }
    if footprint <= BufferClass.medium.bytes { return .medium }
    precondition(footprint <= BufferClass.window.bytes)
    return .window
  }
}

/// A buffer that is taken.
struct TransferBuffer {
  var kind: BufferClass
  var index: Int
}

/// The memory that payloads pass through, taken at start and shared by all connections.
///
/// Nobody may hold more of a class than is still free of it (the first one apart). So one greedy
/// client gets half, two get a third each, and there is something left for the next who comes.
@safe struct TransferBuffers {
  /// Freed in `deallocate`; addresses inside go to the engine and the socket, which give them back
  /// by answering.
  private let memory: UnsafeMutableRawPointer
  private let bases: InlineArray<3, Int>
  private let free: InlineArray<3, FreeIndices>

  init(_ limits: NBDLimits) {
    precondition(limits.smallBuffers > 0)
    precondition(limits.mediumBuffers > 0)
    precondition(limits.windowBuffers > 0)
    let counts: InlineArray<3, Int> = [
      limits.smallBuffers, limits.mediumBuffers, limits.windowBuffers,
    ]
    var bases: InlineArray<3, Int> = [0, 0, 0]
    var total = 0
    for kind in BufferClass.allCases {
      bases[kind.rawValue] = total
      total += counts[kind.rawValue] * kind.bytes
    }
    self.bases = bases
    free = InlineArray { FreeIndices(count: counts[$0]) }
    unsafe memory = .allocate(byteCount: total, alignment: StorageSizes.blockBytes)
  }

  func deallocate() {
    for kind in BufferClass.allCases { free[kind.rawValue].deallocate() }
    unsafe memory.deallocate()
  }

  func freeCount(_ kind: BufferClass) -> Int { free[kind.rawValue].freeCount }

  /// A buffer for somebody who holds `held` of the class; nil if none is to be had now.
  func take(_ kind: BufferClass, held: Int) -> TransferBuffer? {
    let indices = free[kind.rawValue]
    guard indices.freeCount > 0, held == 0 || held < indices.freeCount else { return nil }
    return TransferBuffer(kind: kind, index: indices.take())
  }

  func giveBack(_ buffer: TransferBuffer) { free[buffer.kind.rawValue].giveBack(buffer.index) }

  /// The first byte of the buffer, at a multiple of 4096.
  func address(_ buffer: TransferBuffer) -> UnsafeMutableRawPointer {
    unsafe memory + bases[buffer.kind.rawValue] + buffer.index * buffer.kind.bytes
  }
}
