import Glibc

/// The C library's words for an errno.
enum SystemMessage {
  static func text(_ errno: Int32) -> String {
    guard let message = unsafe strerror(errno) else { return "errno \(errno)" }
    return unsafe String(cString: message)
  }
}
