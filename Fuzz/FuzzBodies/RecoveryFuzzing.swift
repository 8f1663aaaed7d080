/// What recovery makes of structures that are each valid: a ring of journal blocks and a tail, in
/// any order and combination, with numbers at the edge of their range. The first byte says which.
public enum RecoveryFuzzing {
  public static func run(_ bytes: [UInt8]) throws(BrokenProperty) {
    var input = RecoveryInput(bytes)
    if input.flag() {
      try tail(&input)
    } else {
      try journal(&input)
    }
  }
}
