import FoundationEssentials
import Management

/// What people and programs tell the control plane: bodies of requests and answers, files of the
/// state folder, and every text of the command line. The first byte says which; the rest is it.
///
/// Besides surviving it: what is accepted is written in a form that is accepted again and means the
/// same.
public enum ControlFuzzing {
  public static func run(_ bytes: [UInt8]) throws(BrokenProperty) {
    guard let kind = bytes.first else { return }
    let body = Array(bytes.dropFirst())
    let text = String(decoding: body, as: UTF8.self)
    switch kind % 18 {
    case 0: try json(VolumeSpecification.self, body)
    case 1: try json(PoolRecord.self, body)
    case 2: try json(PoolHolder.self, body)
    case 3: try json(ManagementError.self, body)
    case 4: try json(VolumeDescription.self, body)
    case 5: try json(PoolStatus.self, body)
    case 6: try json(LaminaVersion.self, body)
    case 7: try size(text)
    case 8: try name(text)
    case 9: try again(text, "an address") { (text) throws in try ListenAddress(text) }
    case 10: try again(text, "a device") { (text) throws in try DeviceArgument(text) }
    case 11: try again(text, "a volume") { (text) throws in try VolumeReference(text) }
    case 12: try again(text, "a policy") { (text) throws in try FullPolicy(text) }
    case 13: try address(text)
    case 14: try json(SnapshotSpecification.self, body)
    case 15: try json(CloneSpecification.self, body)
    case 16: try json(ImagePinRenewal.self, body)
    default: try again(text, "a snapshot") { (text) throws in try SnapshotName(text) }
    }
  }

  private static func json<Value: Codable & Equatable>(
    _ type: Value.Type, _ body: [UInt8]
  ) throws(BrokenProperty) {
    guard let value = try? ManagementJSON.decode(type, from: Data(body)) else { return }
    for forPeople in [false, true] {
      guard let written = try? ManagementJSON.encode(value, forPeople: forPeople) else {
        throw BrokenProperty("\(type) cannot be written: \(value)")
      }
      guard let read = try? ManagementJSON.decode(type, from: written) else {
        throw BrokenProperty(
          "\(type) is not read again: \(String(decoding: written, as: UTF8.self))")
      }
      try BrokenProperty.unless(read == value, "\(type) changes: \(value) to \(read)")
    }
  }

  /// What a value is called can be given in its place.
  private static func again<Value: Equatable & CustomStringConvertible>(
    _ text: String, _ what: String, _ parse: (String) throws -> Value
  ) throws(BrokenProperty) {
    guard let value = try? parse(text) else { return }
    let called = value.description
    guard let second = try? parse(called) else {
      throw BrokenProperty("\(what) '\(text)' is called '\(called)', which is refused")
    }
    try BrokenProperty.unless(second == value, "\(what) '\(text)' is called '\(called)'")
  }

  private static func size(_ text: String) throws(BrokenProperty) {
    guard let bytes = try? SizeText.parse(text) else { return }
    try BrokenProperty.unless(!SizeText.human(bytes).isEmpty, "a size without a text")
    let exact = SizeText.exact(bytes)
    try BrokenProperty.unless(
      (try? SizeText.parse(exact)) == bytes, "the size '\(text)' is called '\(exact)'")
  }

  private static func name(_ text: String) throws(BrokenProperty) {
    let isName = NameRule.problem(of: text) == nil
    try BrokenProperty.unless(
      isName == ((try? VolumeName(text)) != nil) && isName == ((try? PoolName(text)) != nil),
      "'\(text)' is a name to some")
    guard isName else { return }
    // Names become parts of paths and URLs as they are.
    let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x2F }
    try BrokenProperty.unless(
      isPlain && text != "." && text != ".." && !text.isEmpty && text.utf8.count <= 127,
      "'\(text)' is a name")
  }

  private static func address(_ text: String) throws(BrokenProperty) {
    guard let address = try? ListenAddress(text) else { return }
    _ = try? address.resolved(in: .current)
    let uri = address.nbdURI(export: text)
    try BrokenProperty.unless(
      uri.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "the URI '\(uri)' of '\(text)'")
  }
}
