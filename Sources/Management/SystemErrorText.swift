import Glibc

/// What the system calls an error number.
enum SystemErrorText {
  static func describe(_ errorNumber: Int32) -> String {
    // glibc keeps the text of an unknown number in memory of the calling thread.
    guard let text = unsafe strerror(errorNumber) else { return "Error \(errorNumber)" }
    return unsafe String(cString: text)
  }

  static func isPermissionProblem(_ errorNumber: Int32) -> Bool {
    errorNumber == EACCES || errorNumber == EPERM
  }
}
