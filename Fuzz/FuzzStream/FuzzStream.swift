import FuzzBodies

/// What libFuzzer calls for each input; a property that breaks ends the process like a crash.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  do {
    try StreamFuzzing.run(bytes)
  } catch {
    fatalError("\(error)")
  }
  return 0
}
