/// Text in the exposition format of Prometheus, version 0.0.4
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
struct PrometheusText {
  enum Kind: String { case counter, gauge, histogram }

  private(set) var text = ""

  /// Begins a metric; its samples follow.
  mutating func metric(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  mutating func sample(
    _ name: String, _ labels: KeyValuePairs<String, String> = [:], _ value: String
  ) {
    let parts = labels.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }
    text += name + (parts.isEmpty ? "" : "{" + parts.joined(separator: ",") + "}")
    text += " \(value)\n"
  }

  mutating func sample(
    _ name: String, _ labels: KeyValuePairs<String, String> = [:], _ value: UInt64
  ) {
    sample(name, labels, "\(value)")
  }

  /// A metric of one sample.
  mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: UInt64) {
    metric(name, kind, help)
    sample(name, [:], value)
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.append(character)
      }
    }
  }

  /// Microseconds as seconds, exactly.
  static func seconds(microseconds: UInt64) -> String {
    let whole = microseconds / 1_000_000
    let rest = "\(microseconds % 1_000_000)"
    return "\(whole)." + String(repeating: "0", count: 6 - rest.count) + rest
  }
}
