/// A structure of a pool as it is shown: one tree for people and for programs.
public enum DumpValue: Hashable, Sendable {
  case object([Field])
  case list([DumpValue])
  case integer(UInt64)
  case text(String)
  case flag(Bool)

  public struct Field: Hashable, Sendable {
    public var name: String
    public var value: DumpValue

    public init(_ name: String, _ value: DumpValue) {
      self.name = name
      self.value = value
    }
  }

  /// The field of an object.
  public subscript(_ name: String) -> DumpValue? {
    guard case .object(let fields) = self else { return nil }
    return fields.first { $0.name == name }?.value
  }

  static func fields(_ fields: KeyValuePairs<String, DumpValue?>) -> DumpValue {
    .object(fields.compactMap { name, value in value.map { Field(name, $0) } })
  }

  static func number(_ value: some BinaryInteger) -> DumpValue { .integer(UInt64(value)) }
  static func hexadecimal(_ value: some BinaryInteger) -> DumpValue {
    .text("0x" + String(value, radix: 16))
  }
}

extension DumpValue: ExpressibleByStringLiteral {
  public init(stringLiteral value: String) { self = .text(value) }
}

// MARK: For programs

extension DumpValue: Encodable {
  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .object(let fields):
      var container = encoder.container(keyedBy: Key.self)
      for field in fields {
        try container.encode(field.value, forKey: Key(stringValue: field.name))
      }
    case .list(let values):
      var container = encoder.unkeyedContainer()
      for value in values { try container.encode(value) }
    case .integer(let value):
      var container = encoder.singleValueContainer()
      try container.encode(value)
    case .text(let value):
      var container = encoder.singleValueContainer()
      try container.encode(value)
    case .flag(let value):
      var container = encoder.singleValueContainer()
      try container.encode(value)
    }
  }
}

// MARK: For people

extension DumpValue {
  /// One line for each object without parts; the rest indented.
  public var lines: [String] {
    switch self {
    case .object(let fields):
      if isFlat { return [flatText] }
      return fields.flatMap { field in
        field.value.isFlat
          ? ["\(field.name): \(field.value.flatText)"]
          : ["\(field.name):"] + field.value.lines.map { "  " + $0 }
      }
    case .list(let values):
      if isFlat { return [flatText] }
      return values.flatMap { value in
        let lines = value.lines
        return lines.enumerated().map { $0.offset == 0 ? "- " + $0.element : "  " + $0.element }
      }
    default: return [flatText]
    }
  }

  private var isScalar: Bool {
    switch self {
    case .integer, .text, .flag: true
    case .object, .list: false
    }
  }

  private var isFlat: Bool {
    switch self {
    case .integer, .text, .flag: true
    case .object(let fields): fields.count <= 12 && fields.allSatisfy { $0.value.isScalar }
    case .list(let values): values.allSatisfy(\.isScalar)
    }
  }

  private var flatText: String {
    switch self {
    case .integer(let value): "\(value)"
    case .text(let value): value
    case .flag(let value): value ? "yes" : "no"
    case .list(let values):
      values.isEmpty ? "none" : values.map(\.flatText).joined(separator: ", ")
    case .object(let fields):
      fields.map { "\($0.name) \($0.value.flatText)" }.joined(separator: "  ")
    }
  }
}
