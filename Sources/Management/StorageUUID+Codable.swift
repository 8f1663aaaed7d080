public import StorageUnits

/// Written in JSON in the form of RFC 9562.
extension StorageUUID: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try String(from: decoder)
    guard let uuid = StorageUUID(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not a UUID: \(text)"))
    }
    self = uuid
  }

  public func encode(to encoder: any Encoder) throws {
    try description.encode(to: encoder)
  }
}
