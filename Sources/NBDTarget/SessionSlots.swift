import StorageUnits

/// No slot, in fields that name one.
let noSlot = -1

/// One connection.
@safe struct SessionSlot {
  enum Phase: UInt8 {
    case free
    /// Choosing an export.
    case negotiating
    case transmitting
    /// The client has said good-bye, or its stream has ended: nothing is read any more, and the
    /// connection is closed once what is under way has been answered and sent.
    case ending
    /// Its end has been asked for; the socket may still use its memory.
    case closing
    /// The socket is gone; the engine still has requests of it.
    case lingering
  }

  /// What a request that cannot go on waits for.
  enum Wait: UInt8 { case nothing, request, buffer }

  var phase = Phase.free
  var terms = TransmissionTerms(
    volume: VolumeID(0), sizeBytes: 0, logicalBlockBytes: 512, isReadOnly: true,
    structuredReplies: false, extendedHeaders: false, blockStatus: false)
  /// The negotiation has ended well: transmission begins once its last output has been sent.
  var beginsTransmission = false
  var closesAfterSend = false

  // Receiving. Bytes `head ..< tail` of the receive buffer have not been looked at.
  var head = 0
  var tail = 0
  var isReceiving = false
  /// The receive under way goes straight into the buffer of `fill`.
  var receivesIntoWindow = false
  /// The last request was a large write: what follows is received in small bites, so that the
  /// next payload is not copied.
  var expectsLargePayload = false

  // The request that is being taken in: at most one, so that the stream keeps its order.
  var current = noSlot
  /// How much of it has been cut into windows.
  var cutBytes = 0
  /// The window of a write that is being filled, and how far.
  var fill = noSlot
  var filledBytes = 0
  /// Payload of a refused write that is still to be read over, and the reply that follows it.
  var skipBytes = 0
  var skipReply = noSlot

  var wait = Wait.nothing
  var isInWaitingList = false
  var nextWaiting = noSlot

  // Replies: windows that are ready, in order; requests whose windows must be sent in order; and
  // the windows of the send under way.
  var firstReady = noSlot
  var lastReady = noSlot
  var firstOrdered = noSlot
  var lastOrdered = noSlot
  /// The header of `firstOrdered` has been sent: nothing else may be sent before all its data.
  var isStreaming = false
  var firstSending = noSlot
  var isSending = false
  /// Bytes of negotiation output that wait in the header area.
  var outputBytes = 0
  var isInFlushList = false
  var nextFlush = noSlot

  // What it holds.
  var requests = 0
  var windowsInEngine = 0
  var buffers: InlineArray<3, Int> = [0, 0, 0]

  /// When a byte last went either way, or a send began.
  var lastProgress = MonotonicTime(nanoseconds: 0)
  /// Changes with every connection.
  var generation: UInt64 = 0
}

/// One request of a client.
struct RequestSlot {
  var session = noSlot
  var command = NBDCommand.read
  var flags = CommandFlags()
  var cookie: UInt64 = 0
  var offset: UInt64 = 0
  var length = 0
  /// All its windows exist.
  var isCut = false
  /// Nobody will be answered: its windows are only given back.
  var isAbandoned = false
  /// Windows that have a slot.
  var windows = 0
  /// Windows that the engine has not answered.
  var unanswered = 0
  var error: NBDError?
  /// Of a block status: the context that is asked about, as an index, and the bits of all that are.
  var context = 0
  var contexts: UInt16 = 0
  /// Bytes of a payload that says what a block status is about; 0: the header has said it.
  var filterBytes = 0

  /// A read in several windows whose data must be sent in one piece: a simple reply, or DF.
  var isOrdered = false
  var windowCount = 0
  var firstWindow = noSlot
  var lastWindow = noSlot
  var nextOrdered = noSlot
}

/// A part of a request that the engine sees as one, or a reply that waits to be sent.
struct WindowSlot {
  enum State: UInt8 { case free, filling, inEngine, answered, ready, sending }
  /// What is sent for it.
  enum Reply: UInt8 {
    case status, data, hole, error, errorOffset, none, blockStatus
  }

  var state = State.free
  var reply = Reply.status
  /// The last chunk of its request.
  var isDone = false
  var error: NBDError?
  var request = noSlot
  var offset: UInt64 = 0
  var length = 0
  var buffer: TransferBuffer?
  /// The next in whatever list it is in.
  var next = noSlot
}
