/// Something that must hold for every input, and did not for this one.
public struct BrokenProperty: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

extension BrokenProperty {
  /// Throws unless `condition` holds.
  static func unless(_ condition: Bool, _ what: @autoclosure () -> String) throws(BrokenProperty) {
    guard condition else { throw BrokenProperty(what()) }
  }
}
