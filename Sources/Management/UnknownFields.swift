/// Refuses the fields of a request that nothing would read: a misspelt option must not be ignored.
enum UnknownFields {
  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  static func refuse<Keys: CodingKey & CaseIterable>(
    in decoder: any Decoder, known: Keys.Type
  ) throws {
    let names = Set(known.allCases.map(\.stringValue))
    let unknown = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
      .filter { !names.contains($0) }.sorted()
    guard let first = unknown.first else { return }
    throw ManagementError(
      .invalidRequest, "the request has a field '\(first)' that is not known here",
      correction: "The fields are \(names.sorted().joined(separator: ", ")).",
      objects: unknown.map { ManagementObject(.option, $0) })
  }
}
