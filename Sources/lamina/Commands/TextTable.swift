/// Columns that line up, for people.
struct TextTable {
  enum Alignment { case left, right }

  private let columns: [(title: String, alignment: Alignment)]
  private var rows: [[String]] = []

  init(_ columns: [(title: String, alignment: Alignment)]) {
    self.columns = columns
  }

  mutating func add(_ row: [String]) {
    precondition(row.count == columns.count)
    rows.append(row)
  }

  var text: String {
    let all = [columns.map(\.title)] + rows
    let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      let cells = columns.indices.map { column in
        let fill = String(repeating: " ", count: widths[column] - row[column].count)
        return columns[column].alignment == .left ? row[column] + fill : fill + row[column]
      }
      return Self.withoutTrailingSpace(cells.joined(separator: "  "))
    }.joined(separator: "\n")
  }

  /// Names and values under each other.
  static func fields(_ fields: [(name: String, value: String)]) -> String {
    let width = fields.map { $0.name.count }.max() ?? 0
    return fields.map { field in
      field.name + String(repeating: " ", count: width + 2 - field.name.count) + field.value
    }.joined(separator: "\n")
  }

  private static func withoutTrailingSpace(_ line: String) -> String {
    var line = line[...]
    while line.last == " " { line.removeLast() }
    return String(line)
  }
}
