import CBlockIO
public import StorageUnits

/// The kernel's randomness.
public enum SystemRandom {
  /// 64 random bits.
  public static func bits64() -> UInt64 { lamina_random() }

  /// A fresh identifier.
  public static func uuid() -> StorageUUID {
    StorageUUID(randomHigh: bits64(), randomLow: bits64())
  }
}
