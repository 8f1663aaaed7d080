public import FoundationEssentials

/// How the control API and the command line write and read JSON: sorted keys, so that the same
/// answer is always the same text.
public enum ManagementJSON {
  public static func encode(_ value: some Encodable, forPeople: Bool = false)
    throws(ManagementError)
    -> Data
  {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if forPeople { encoder.outputFormatting.insert(.prettyPrinted) }
    do {
      return try encoder.encode(value)
    } catch {
      throw ManagementError(
        .internalFailure, "cannot write \(type(of: value)) as JSON", cause: "\(error)")
    }
  }

  /// Reads what somebody sent. Throws `invalidRequest` that names the field, or the error that the
  /// value's own checks throw.
  public static func decode<Value: Decodable>(
    _ type: Value.Type, from data: Data
  ) throws(ManagementError) -> Value {
    do {
      return try JSONDecoder().decode(type, from: data)
    } catch let error as ManagementError {
      throw error
    } catch let error as DecodingError {
      throw refusal(of: error)
    } catch {
      throw ManagementError(.invalidRequest, "the JSON cannot be read", cause: "\(error)")
    }
  }

  private static func refusal(of error: DecodingError) -> ManagementError {
    switch error {
    case .keyNotFound(let key, let context):
      field(context.codingPath + [key], "the field '%' is missing")
    case .valueNotFound(_, let context):
      field(context.codingPath, "the field '%' has no value")
    case .typeMismatch(_, let context):
      field(context.codingPath, "the field '%' has a value of the wrong type")
    case .dataCorrupted(let context) where context.codingPath.isEmpty:
      ManagementError(
        .invalidRequest, "the text is not JSON", correction: "Send one JSON object.")
    case .dataCorrupted(let context):
      field(
        context.codingPath, "the field '%' has a value that cannot be", context.debugDescription)
    @unknown default:
      ManagementError(.invalidRequest, "the JSON cannot be read", cause: "\(error)")
    }
  }

  private static func field(
    _ path: [any CodingKey], _ message: String, _ cause: String? = nil
  ) -> ManagementError {
    let name = path.map(\.stringValue).joined(separator: ".")
    guard !name.isEmpty else {
      return ManagementError(
        .invalidRequest, "the JSON is not an object", correction: "Send one JSON object.")
    }
    return ManagementError(
      .invalidRequest, message.split(separator: "%").joined(separator: name), cause: cause,
      objects: [ManagementObject(.option, name)])
  }
}
