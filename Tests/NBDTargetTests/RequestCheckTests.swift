import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

@Suite struct RequestCheckTests {
  private static func agreement(
    block: Int = 512, readOnly: Bool = false, structured: Bool = true, status: Bool = true,
    bytes: UInt64 = 1 << 30
  ) -> ExportAgreement {
    ExportAgreement(
      export: ListedExports.volume(1, "v", bytes: bytes, block: block, readOnly: readOnly),
      structuredReplies: structured,
      contexts: status && structured ? [MetaContext(id: 1, base: nil)] : [])
  }

  private static func check(
    _ type: UInt16, flags: UInt16 = 0, offset: UInt64 = 0, length: UInt64 = 4096,
    _ agreement: ExportAgreement = agreement()
  ) -> RequestCheck {
    RequestCheck(
      RequestHeader(
        magic: 0x2560_9513, flags: flags, type: type, cookie: 5, offset: offset, length: length),
      agreement.terms)
  }

  @Test func theHeaderIsReadAsTheProtocolLaysItOut() {
    let bytes = Wire.request(
      6, flags: 0x0102, cookie: 0x1122_3344_5566_7788, offset: 0x0102_0304_0506_0708,
      length: 0x0A0B_0C0D)
    let header = unsafe bytes.withUnsafeBytes {
      unsafe RequestHeader(parsing: $0, isExtended: false)
    }
    #expect(
      header
        == RequestHeader(
          magic: 0x2560_9513, flags: 0x0102, type: 6, cookie: 0x1122_3344_5566_7788,
          offset: 0x0102_0304_0506_0708, length: 0x0A0B_0C0D))
  }

  @Test func aWrongMagicDropsTheConnection() {
    for magic in [0, 0x2560_9512, 0x1395_6025, .max] as [UInt32] {
      let header = RequestHeader(
        magic: magic, flags: 0, type: 0, cookie: 0, offset: 0, length: 512)
      #expect(RequestCheck(header, Self.agreement().terms) == .drop)
    }
  }

  @Test func everyFlagOfEveryCommandIsJudged() {
    let allowed: [UInt16: UInt16] = [
      0: 0b00101, 1: 0b00001, 3: 0b00001, 4: 0b00001, 5: 0b00001, 6: 0b10011, 7: 0b01001,
    ]
    for (type, mask) in allowed {
      for bit in 0..<16 {
        let flags = UInt16(1) << UInt16(bit)
        let result = Self.check(type, flags: flags, length: type == 3 ? 0 : 4096)
        if flags & mask == 0 {
          #expect(result == .refuse(.invalid), "command \(type), flag bit \(bit)")
        } else {
          #expect(result == NBDCommand(rawValue: type).map(RequestCheck.accept))
        }
      }
    }
    // Without structured replies there is no DF.
    #expect(Self.check(0, flags: 4, Self.agreement(structured: false)) == .refuse(.invalid))
  }

  @Test func unknownCommandsAreInvalid() {
    for type in [8, 9, 0x7FFF, .max] as [UInt16] {
      #expect(Self.check(type) == .refuse(.invalid))
    }
  }

  @Test func disconnectIsHeardWhateverElseItSays() {
    #expect(Self.check(2, flags: .max, offset: .max, length: .max) == .disconnect)
  }

  @Test func flushTakesNoRange() {
    #expect(Self.check(3, length: 0) == .accept(.flush))
    #expect(Self.check(3, length: 1) == .refuse(.invalid))
    #expect(Self.check(3, offset: 1, length: 0) == .refuse(.invalid))
  }

  @Test func readOnlyRefusesChangesWithNotPermitted() {
    let fixed = Self.agreement(readOnly: true)
    for type in [1, 4, 6] as [UInt16] {
      #expect(Self.check(type, fixed) == .refuse(.notPermitted))
      #expect(Self.check(type, offset: .max, fixed) == .refuse(.notPermitted))
    }
    for type in [0, 5, 7] as [UInt16] {
      #expect(Self.check(type, fixed) == NBDCommand(rawValue: type).map(RequestCheck.accept))
    }
    #expect(Self.check(3, length: 0, fixed) == .accept(.flush))
  }

  @Test func theRangeEndsWithTheExport() {
    let size: UInt64 = 528 * 1024 + 512
    let agreement = Self.agreement(bytes: size)
    let edges: [(UInt64, UInt64, Bool)] = [
      (0, size, true), (size - 512, 512, true), (size - 512, 1024, false),
      (size, 512, false), (size + 512, 512, false), (0, size + 512, false),
      (.max - 511, 512, false), (.max - 511, 1024, false), (1 << 63, 512, false),
    ]
    for (type, error) in [
      (0, .invalid), (1, .noSpace), (4, .invalid), (5, .invalid), (6, .noSpace), (7, .invalid),
    ]
      as [(UInt16, NBDError)]
    {
      for (offset, length, fits) in edges {
        let result = Self.check(type, offset: offset, length: length, agreement)
        if fits {
          #expect(result == NBDCommand(rawValue: type).map(RequestCheck.accept))
        } else {
          #expect(result == .refuse(error), "command \(type) at \(offset) + \(length)")
        }
      }
    }
  }

  @Test func alignmentIsThatOfTheLogicalBlock() {
    for block in [512, 4096] {
      let agreement = Self.agreement(block: block)
      for type in [0, 1, 4, 5, 6, 7] as [UInt16] {
        let accepted = NBDCommand(rawValue: type).map(RequestCheck.accept)
        #expect(
          Self.check(type, offset: UInt64(block), length: UInt64(block), agreement) == accepted)
        for (offset, length) in [(1, block), (block / 2, block), (0, block - 1), (0, block + 1)] {
          #expect(
            Self.check(type, offset: UInt64(offset), length: UInt64(length), agreement)
              == .refuse(.invalid))
        }
      }
    }
  }

  @Test func readsAndWritesEndAt64MiBAndTheRestDoesNot() {
    let limit: UInt64 = 64 << 20
    let large = Self.agreement(bytes: 1 << 40)
    for type in [0, 1] as [UInt16] {
      let accepted = NBDCommand(rawValue: type).map(RequestCheck.accept)
      #expect(Self.check(type, length: limit, large) == accepted)
      #expect(Self.check(type, length: limit + 512, large) == .refuse(.invalid))
    }
    for type in [4, 5, 6, 7] as [UInt16] {
      let accepted = NBDCommand(rawValue: type).map(RequestCheck.accept)
      #expect(Self.check(type, length: UInt64(UInt32.max) - 511, large) == accepted)
    }
    #expect(Self.check(0, length: UInt64(UInt32.max) - 511, large) == .refuse(.invalid))
    #expect(Self.check(1, length: 128 << 20, large) == .refuse(.invalid))
    #expect(Self.check(1, length: (128 << 20) + 1, large) == .drop)
    #expect(Self.check(1, length: .max, large) == .drop)
  }

  @Test func aLengthOfZeroDoesNothing() {
    for type in [0, 1, 4, 5, 6] as [UInt16] {
      let nothing = NBDCommand(rawValue: type).map(RequestCheck.nothingToDo)
      #expect(Self.check(type, length: 0) == nothing)
      #expect(Self.check(type, offset: 1 << 30, length: 0) == nothing)
    }
    #expect(Self.check(0, offset: (1 << 30) + 512, length: 0) == .refuse(.invalid))
    #expect(Self.check(7, length: 0) == .refuse(.invalid))
  }

  @Test func blockStatusNeedsItsContext() {
    #expect(Self.check(7) == .accept(.blockStatus))
    #expect(Self.check(7, Self.agreement(status: false)) == .refuse(.invalid))
    #expect(Self.check(7, Self.agreement(structured: false)) == .refuse(.invalid))
  }

  @Test func everyExportErrorHasItsErrno() {
    let table: [ExportError: UInt32] = [
      .noSpace: 28, .inputOutput: 5, .invalidRequest: 22, .outOfRange: 22, .readOnly: 1,
      .notSupported: 95, .volumeGone: 5, .shuttingDown: 108,
    ]
    #expect(table.count == ExportError.allCases.count)
    for error in ExportError.allCases {
      #expect(NBDError(error, of: .read).rawValue == table[error])
    }
    for command in [NBDCommand.write, .writeZeroes] {
      #expect(NBDError(.outOfRange, of: command) == .noSpace)
    }
    #expect(NBDError(.outOfRange, of: .trim) == .invalid)
  }
}
