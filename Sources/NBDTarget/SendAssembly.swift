/// One gathered send in the making: headers are written one behind the other into an area of the
/// session, data is only pointed at.
@safe struct SendAssembly {
  // Both areas belong to the session, and no send of it is under way.
  private let headers: UnsafeMutableRawPointer
  private let vectors: UnsafeMutablePointer<SendVector>
  private(set) var vectorCount = 0
  private var headerBytes = 0
  private var totalBytes = 0
  private var endsWithHeader = false

  init(headers: UnsafeMutableRawPointer, vectors: UnsafeMutablePointer<SendVector>) {
    unsafe self.headers = headers
    unsafe self.vectors = vectors
  }

  /// Is there room for a reply: a header, data and a trailer?
  var hasRoom: Bool {
    vectorCount &+ 3 <= NBDSessions.vectorsPerSend
      && headerBytes &+ 2 &* ReplyEncoding.largestHeaderBytes <= NBDSessions.headerAreaBytes
      && totalBytes < NBDSessions.bytesPerSend
  }

  /// Adds what `write` puts where it is told to; it returns how many bytes that is.
  mutating func addHeader(_ write: (UnsafeMutableRawPointer) -> Int) {
    let count = unsafe write(headers + headerBytes)
    precondition(count <= ReplyEncoding.largestHeaderBytes)
    if endsWithHeader {
      unsafe vectors[vectorCount &- 1].count &+= count
    } else {
      unsafe vectors[vectorCount] = SendVector(base: headers + headerBytes, count: count)
      vectorCount &+= 1
      endsWithHeader = true
    }
    headerBytes &+= count
    totalBytes &+= count
  }

  /// Adds bytes that stay where they are.
  mutating func addData(_ base: UnsafeRawPointer, count: Int) {
    unsafe vectors[vectorCount] = SendVector(base: base, count: count)
    vectorCount &+= 1
    endsWithHeader = false
    totalBytes &+= count
  }
}
