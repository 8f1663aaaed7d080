/// What a submission is, in its 64 bits of user data: 8 bits kind, 24 bits of the connection's
/// generation (zero for others), 32 bits index.
struct OperationTag {
  enum Kind: UInt8 {
    case command = 1
    case receive, send, cancelReceive, cancelSend, closeNotice
    case accept, cancelAccept
    case mailbox, cancelMailbox
  }

  var bits: UInt64

  @inline(__always) init(bits: UInt64) { self.bits = bits }
  @inline(__always) init(_ kind: Kind, index: UInt32, generation: UInt32 = 0) {
    bits = UInt64(kind.rawValue) << 56 | UInt64(generation & 0xFF_FFFF) << 32 | UInt64(index)
  }

  @inline(__always) var kind: Kind? { Kind(rawValue: UInt8(truncatingIfNeeded: bits >> 56)) }
  @inline(__always) var index: Int { Int(bits & 0xFFFF_FFFF) }
  @inline(__always) var generation: UInt32 { UInt32(truncatingIfNeeded: bits >> 32) & 0xFF_FFFF }
}
