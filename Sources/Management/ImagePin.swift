/// The image of one checkpoint, kept readable on the devices of a pool that is being served.
///
/// At first it is *frozen*: the server begins no checkpoint, for some seconds at the most. Whoever
/// reads the devices reads superblocks, segment table and count images in that time, and then thaws
/// the pin: from then on only the nodes of the image stay. A pin that is not renewed for a minute,
/// or that hosts would have to wait for, is gone; what was read under it is then worth nothing.
public struct ImagePin: Codable, Hashable, Sendable {
  public var id: UInt64
  /// The superblock that shows the image.
  public var superblockSequence: UInt64

  public init(id: UInt64, superblockSequence: UInt64) {
    self.id = id
    self.superblockSequence = superblockSequence
  }
}

/// The body of a request that renews a pin.
public struct ImagePinRenewal: Codable, Hashable, Sendable {
  /// Checkpoints may go on: only the nodes of the image have to stay.
  public var thaw: Bool

  public init(thaw: Bool) { self.thaw = thaw }

  private enum CodingKeys: String, CodingKey, CaseIterable { case thaw }

  public init(from decoder: any Decoder) throws {
    try UnknownFields.refuse(in: decoder, known: CodingKeys.self)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(thaw: try fields.decode(Bool.self, forKey: .thaw))
  }
}
