import Glibc

/// Standard output for results, standard error for everything that is said about them.
enum StandardStreams {
  static var outputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }
  static var inputIsTerminal: Bool { isatty(STDIN_FILENO) == 1 }

  static func writeOutput(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

  static func writeError(_ text: String) { write(text + "\n", to: STDERR_FILENO) }

  /// Without a new line behind it: a question, or a line that is written over.
  static func writePart(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Unbuffered, so that a server's ready line is seen through a pipe at once.
  private static func write(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0 && errno == EINTR { continue }
      // Nobody reads it; there is no other place to say so.
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
