import BlockExport
import StorageUnits
import Testing

@testable import NBDTarget

/// A negotiation with everything that it put out.
private struct Dialogue {
  var negotiation = Negotiation()
  var exports: NBDExports
  var output: [UInt8] = []
  var agreement: ExportAgreement?
  var isClosed = false
  private var pending: [UInt8] = []

  init(_ directory: ListedExports = .two, defaultExport: String? = nil) {
    exports = NBDExports(directory: directory, defaultExport: defaultExport)
  }

  /// Feeds bytes in pieces of at most `pieceBytes`.
  mutating func send(_ bytes: [UInt8], pieceBytes: Int = .max) {
    var rest = bytes[...]
    while !rest.isEmpty {
      pending += rest.prefix(pieceBytes)
      rest = rest.dropFirst(pieceBytes)
      run()
    }
  }

  private mutating func run() {
    while !isClosed && agreement == nil {
      var produced: [UInt8] = []
      let input = pending
      let step = negotiation.step(input.span, exports: exports, into: &produced)
      #expect(produced.count <= NBDLimits.negotiationOutputBytes)
      output += produced
      pending.removeFirst(step.consumed)
      switch step.outcome {
      case .needsBytes: return
      case .again: continue
      case .transmit(let agreed): agreement = agreed
      case .close: isClosed = true
      }
    }
  }
}

private let transmissionFlags: UInt16 = 0b1101_0110_1101  // all but DF, read-only, rotational

private func exportInfo(_ option: UInt32, bytes: UInt64, flags: UInt16) -> [UInt8] {
  Wire.optionReply(
    option, 3, [0, 0] + Wire.bigEndian(bytes) + [UInt8(flags >> 8), UInt8(flags & 0xFF)])
}

private func blockSizeInfo(_ option: UInt32, minimum: UInt32) -> [UInt8] {
  Wire.optionReply(
    option, 3,
    [0, 3] + Wire.bigEndian(minimum) + Wire.bigEndian(UInt32(4096))
      + Wire.bigEndian(UInt32(64 << 20)))
}

private func refusal(_ option: UInt32, _ type: UInt32, _ reason: String) -> [UInt8] {
  Wire.optionReply(option, type, Array(reason.utf8))
}

@Suite struct NegotiationTests {
  @Test func greetingOffersFixedNewstyleWithoutZeroes() {
    #expect(Negotiation.greeting == Array("NBDMAGICIHAVEOPT".utf8) + [0, 3])
  }

  @Test(arguments: [0, 1, 2, 3] as [UInt32])
  func knownClientFlagsAreTaken(flags: UInt32) {
    var dialogue = Dialogue()
    dialogue.send(Wire.bigEndian(flags))
    #expect(!dialogue.isClosed)
    #expect(dialogue.output.isEmpty)
  }

  @Test(arguments: [4, 7, 0x8000_0000, .max] as [UInt32])
  func unknownClientFlagsEndTheSession(flags: UInt32) {
    var dialogue = Dialogue()
    dialogue.send(Wire.bigEndian(flags))
    #expect(dialogue.isClosed)
  }

  @Test func exportNameAnswersSizeFlagsAndZeroes() {
    for (flags, zeroes) in [(1, 124), (3, 0), (0, 124), (2, 0)] {
      var dialogue = Dialogue()
      dialogue.send([0, 0, 0, UInt8(flags)] + Wire.option(1, Array("alpha".utf8)))
      #expect(
        dialogue.output == Wire.bigEndian(UInt64(1 << 30)) + [0x0D, 0x6D]
          + [UInt8](repeating: 0, count: zeroes))
      #expect(dialogue.agreement?.export.name == "alpha")
      #expect(dialogue.agreement?.structuredReplies == false)
    }
  }

  @Test func exportNameOfAnUnknownExportEndsTheSessionWithoutAWord() {
    for name in ["gamma", "", "alph", "alpha\0"] {
      var dialogue = Dialogue()
      dialogue.send(Wire.fixedNoZeroes + Wire.option(1, Array(name.utf8)))
      #expect(dialogue.isClosed)
      #expect(dialogue.output.isEmpty)
    }
  }

  @Test func goAnswersTheAskedInformation() {
    let everything: [UInt16] = [0, 1, 2, 3, 77]
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes + Wire.option(7, Wire.info("beta", everything)))
    let description = "Lamina thin volume 00000000-0000-0002-0000-000000000007"
    #expect(
      dialogue.output
        == exportInfo(7, bytes: 1 << 30, flags: transmissionFlags)
        + blockSizeInfo(7, minimum: 4096)
        + Wire.optionReply(7, 3, [0, 1] + Array("beta".utf8))
        + Wire.optionReply(7, 3, [0, 2] + Array(description.utf8))
        + Wire.optionReply(7, 1))
    #expect(dialogue.agreement?.export.volume == VolumeID(2))
    #expect(dialogue.agreement?.blockStatus == false)
  }

  @Test func infoAnswersLikeGoAndStaysInNegotiation() {
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes + Wire.option(6, Wire.info("alpha")))
    #expect(
      dialogue.output
        == exportInfo(6, bytes: 1 << 30, flags: transmissionFlags)
        + blockSizeInfo(6, minimum: 512) + Wire.optionReply(6, 1))
    #expect(dialogue.agreement == nil)
    dialogue.send(Wire.option(7, Wire.info("alpha")))
    #expect(dialogue.agreement?.export.name == "alpha")
  }

  @Test func readOnlyExportOffersNoChanges() {
    let directory = ListedExports([ListedExports.volume(1, "fixed", readOnly: true)])
    var dialogue = Dialogue(directory)
    dialogue.send(
      Wire.fixedNoZeroes + Wire.option(8) + Wire.option(7, Wire.info("")))
    // HAS_FLAGS, READ_ONLY, FLUSH, FUA, DF, MULTI_CONN
    let flags: UInt16 = 0b101_1000_1111
    #expect(
      dialogue.output
        == Wire.optionReply(8, 1) + exportInfo(7, bytes: 1 << 30, flags: flags)
        + blockSizeInfo(7, minimum: 512) + Wire.optionReply(7, 1))
  }

  @Test func theEmptyNameIsTheOnlyVolumeOrTheConfiguredOne() {
    var only = Dialogue(ListedExports([ListedExports.volume(9, "only")]))
    only.send(Wire.fixedNoZeroes + Wire.option(7, Wire.info("")))
    #expect(only.agreement?.export.name == "only")

    var configured = Dialogue(.two, defaultExport: "beta")
    configured.send(Wire.fixedNoZeroes + Wire.option(1))
    #expect(configured.agreement?.export.name == "beta")

    var ambiguous = Dialogue(.two)
    ambiguous.send(Wire.fixedNoZeroes + Wire.option(7, Wire.info("")))
    #expect(
      ambiguous.output
        == refusal(7, 0x8000_0006, "there is no default export; ask for one by name"))
    #expect(ambiguous.agreement == nil)

    var missing = Dialogue(.two, defaultExport: "gone")
    missing.send(Wire.fixedNoZeroes + Wire.option(7, Wire.info("")))
    #expect(missing.agreement == nil)
  }

  @Test func goForAnUnknownExportCanBeFollowedByAnother() {
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes + Wire.option(7, Wire.info("gamma")))
    #expect(dialogue.output == refusal(7, 0x8000_0006, "there is no export of that name"))
    dialogue.send(Wire.option(7, Wire.info("beta")))
    #expect(dialogue.agreement?.export.name == "beta")
  }

  @Test func namesThatAreNotTextAreUnknown() {
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes + Wire.option(6, [0, 0, 0, 2, 0xFF, 0xFE, 0, 0]))
    #expect(dialogue.output == refusal(6, 0x8000_0006, "there is no export of that name"))
  }

  @Test func abortIsAcknowledgedAndEndsTheSession() {
    for data in [[], [1, 2, 3]] as [[UInt8]] {
      var dialogue = Dialogue()
      dialogue.send(Wire.fixedNoZeroes + Wire.option(2, data))
      #expect(dialogue.output == Wire.optionReply(2, 1))
      #expect(dialogue.isClosed)
    }
  }

  @Test func listNamesEveryExport() {
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes + Wire.option(3))
    #expect(
      dialogue.output
        == Wire.optionReply(3, 2, Wire.string("alpha"))
        + Wire.optionReply(3, 2, Wire.string("beta")) + Wire.optionReply(3, 1))
    #expect(!dialogue.isClosed)
  }

  @Test func aLongListComesInBoundedPieces() {
    let exports = (0..<3000).map { ListedExports.volume(UInt64($0), "volume-number-\($0)") }
    var dialogue = Dialogue(ListedExports(exports))
    dialogue.send(Wire.fixedNoZeroes + Wire.option(3) + Wire.option(2))
    let entries = exports.flatMap { Wire.optionReply(3, 2, Wire.string($0.name)) }
    #expect(dialogue.output == entries + Wire.optionReply(3, 1) + Wire.optionReply(2, 1))
  }

  @Test(arguments: [3, 8] as [UInt32])
  func optionsWithoutDataRefuseData(option: UInt32) {
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes + Wire.option(option, [0]))
    #expect(dialogue.output == refusal(option, 0x8000_0003, "the option takes no data"))
  }

  @Test(arguments: [0, 4, 5, 12, 99, .max] as [UInt32])
  func otherOptionsAreUnsupportedAndTheNextOneIsUnderstood(option: UInt32) {
    var dialogue = Dialogue()
    dialogue.send(
      Wire.fixedNoZeroes + Wire.option(option, [UInt8](repeating: 1, count: 100)) + Wire.option(8))
    #expect(
      dialogue.output
        == refusal(option, 0x8000_0001, "this server does not know the option")
        + Wire.optionReply(8, 1))
  }

  @Test func aClientWithoutFixedNewstyleMayOnlySendExportName() {
    for option in [2, 3, 6, 7, 8, 99] as [UInt32] {
      var dialogue = Dialogue()
      dialogue.send([0, 0, 0, 0] + Wire.option(option))
      #expect(dialogue.isClosed)
      #expect(dialogue.output.isEmpty)
    }
  }

  @Test func aWrongOptionMagicEndsTheSession() {
    for byte in 0..<8 {
      var option = Wire.option(3)
      option[byte] ^= 1
      var dialogue = Dialogue()
      dialogue.send(Wire.fixedNoZeroes + option)
      #expect(dialogue.isClosed)
      #expect(dialogue.output.isEmpty)
    }
  }
}

@Suite struct MetaContextTests {
  private static let allocation = Array("base:allocation".utf8)

  @Test func settingBeforeStructuredRepliesIsInvalid() {
    for option in [9, 10] as [UInt32] {
      var dialogue = Dialogue()
      dialogue.send(
        Wire.fixedNoZeroes + Wire.option(option, Wire.metaContext("alpha", ["base:allocation"])))
      #expect(
        dialogue.output
          == refusal(option, 0x8000_0003, "structured replies must be negotiated first"))
    }
  }

  @Test func queriesSelectWhatTheProtocolSays() {
    // (option, queries, is base:allocation in the reply)
    let table: [(UInt32, [String], Bool)] = [
      (9, [], true), (9, ["base:"], true), (9, ["base:allocation"], true),
      (9, ["base:other"], false), (9, ["qemu:"], false), (9, ["x-unknown:a", "base:"], true),
      (9, ["base"], false), (9, [""], false),
      (10, [], false), (10, ["base:"], false), (10, ["base:allocation"], true),
      (10, ["base:other", "base:allocation", "base:allocation"], true),
      (10, ["qemu:dirty-bitmap:x"], false), (10, ["base:allocation "], false),
    ]
    for (option, queries, isFound) in table {
      var dialogue = Dialogue()
      dialogue.send(
        Wire.fixedNoZeroes + Wire.option(8)
          + Wire.option(option, Wire.metaContext("alpha", queries)))
      let id: [UInt8] = [0, 0, 0, option == 10 ? 1 : 0]
      let context = isFound ? Wire.optionReply(option, 4, id + Self.allocation) : []
      #expect(
        dialogue.output == Wire.optionReply(8, 1) + context + Wire.optionReply(option, 1),
        "option \(option), queries \(queries)")
    }
  }

  @Test func aSelectionHoldsForItsExportOnly() {
    let set = Wire.option(10, Wire.metaContext("alpha", ["base:allocation"]))
    for (name, isKept) in [("alpha", true), ("beta", false)] {
      var dialogue = Dialogue()
      dialogue.send(
        Wire.fixedNoZeroes + Wire.option(8) + set + Wire.option(7, Wire.info(name)))
      #expect(dialogue.agreement?.blockStatus == isKept)
      #expect(dialogue.agreement?.structuredReplies == true)
    }
  }

  @Test func aFailedOrEmptySelectionReplacesTheEarlierOne() {
    let set = Wire.option(10, Wire.metaContext("alpha", ["base:allocation"]))
    let later: [[UInt8]] = [
      Wire.option(10, Wire.metaContext("alpha", [])),
      Wire.option(10, Wire.metaContext("gamma", ["base:allocation"])),
      Wire.option(10, [0]),
      Wire.option(10, [UInt8](repeating: 0, count: 100_000)),
    ]
    for next in later {
      var dialogue = Dialogue()
      dialogue.send(
        Wire.fixedNoZeroes + Wire.option(8) + set + next + Wire.option(7, Wire.info("alpha")))
      #expect(dialogue.agreement?.blockStatus == false)
    }
  }

  @Test func listingDoesNotSelect() {
    var dialogue = Dialogue()
    dialogue.send(
      Wire.fixedNoZeroes + Wire.option(8) + Wire.option(9, Wire.metaContext("alpha", []))
        + Wire.option(7, Wire.info("alpha")))
    #expect(dialogue.agreement?.blockStatus == false)
  }
}

@Suite struct HostileNegotiationTests {
  private static let whole: [[UInt8]] = [
    Wire.option(1, Array("alpha".utf8)), Wire.option(2), Wire.option(3), Wire.option(5),
    Wire.option(6, Wire.info("alpha", [1, 2, 3])), Wire.option(7, Wire.info("beta", [3])),
    Wire.option(8), Wire.option(9, Wire.metaContext("alpha", ["base:"])),
    Wire.option(10, Wire.metaContext("alpha", ["base:allocation", "x-a:b"])),
  ]

  @Test func aTruncatedOptionSaysNothingUntilTheRestHasCome() {
    for option in Self.whole {
      for cut in 0..<option.count {
        var dialogue = Dialogue()
        dialogue.send(Wire.fixedNoZeroes + Wire.option(8))
        let before = dialogue.output
        dialogue.send(Array(option[..<cut]))
        #expect(dialogue.output == before)
        #expect(!dialogue.isClosed && dialogue.agreement == nil)

        dialogue.send(Array(option[cut...]))
        var reference = Dialogue()
        reference.send(Wire.fixedNoZeroes + Wire.option(8) + option)
        #expect(dialogue.output == reference.output)
        #expect(dialogue.agreement == reference.agreement)
      }
    }
  }

  @Test func bytesMayComeOneByOne() {
    let session =
      Wire.fixedNoZeroes + Self.whole[2...4].flatMap { $0 } + Self.whole[6...].flatMap { $0 }
      + Self.whole[5]
    var pieces = Dialogue()
    pieces.send(session, pieceBytes: 1)
    var whole = Dialogue()
    whole.send(session)
    #expect(pieces.output == whole.output)
    #expect(pieces.agreement == whole.agreement)
    #expect(whole.agreement != nil)
  }

  @Test func shortenedDataIsInvalidAndTheNextOptionIsUnderstood() {
    for (number, data) in [
      (6, Wire.info("alpha", [1, 2, 3])), (7, Wire.info("alpha", [1])),
      (9, Wire.metaContext("alpha", ["base:"])), (10, Wire.metaContext("alpha", ["base:", "x:y"])),
    ] as [(UInt32, [UInt8])] {
      for length in 0..<data.count {
        var dialogue = Dialogue()
        dialogue.send(
          Wire.fixedNoZeroes + Wire.option(8) + Wire.option(number, Array(data[..<length]))
            + Wire.option(2))
        #expect(
          dialogue.output
            == Wire.optionReply(8, 1)
            + refusal(number, 0x8000_0003, "the option's lengths do not fit its data")
            + Wire.optionReply(2, 1), "option \(number) cut to \(length)")
      }
    }
  }

  @Test func lengthsInsideAnOptionThatLieAreInvalid() {
    var table: [(UInt32, [UInt8])] = []
    for lie in [6, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt32] {
      for number in [6, 7, 9, 10] as [UInt32] {
        table.append((number, Wire.bigEndian(lie) + Array("alpha".utf8) + [0, 0]))
      }
      table.append((10, Wire.string("alpha") + Wire.bigEndian(lie) + Wire.string("base:")))
      table.append(
        (10, Wire.string("alpha") + [0, 0, 0, 1] + Wire.bigEndian(lie) + Array("base:".utf8)))
    }
    table.append((6, Wire.string("alpha") + [0xFF, 0xFF, 0, 3]))
    table.append((10, Wire.metaContext("alpha", ["base:"]) + [0]))
    for (number, data) in table {
      var dialogue = Dialogue()
      dialogue.send(Wire.fixedNoZeroes + Wire.option(8) + Wire.option(number, data))
      #expect(
        dialogue.output
          == Wire.optionReply(8, 1)
          + refusal(number, 0x8000_0003, "the option's lengths do not fit its data"))
    }
  }

  @Test func overlongStringsAreTooBig() {
    let long = String(repeating: "n", count: 4097)
    for (number, data, reason) in [
      (7, Wire.info(long), "the export's name is longer than 4096 bytes"),
      (10, Wire.metaContext(long, []), "a string is longer than 4096 bytes"),
      (9, Wire.metaContext("alpha", [long]), "a string is longer than 4096 bytes"),
    ] as [(UInt32, [UInt8], String)] {
      var dialogue = Dialogue()
      dialogue.send(Wire.fixedNoZeroes + Wire.option(8) + Wire.option(number, data))
      #expect(
        dialogue.output == Wire.optionReply(8, 1) + refusal(number, 0x8000_0009, reason))
    }
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes + Wire.option(1, Array(long.utf8)))
    #expect(dialogue.isClosed)
  }

  @Test func anOverlongOptionIsReadOverAndRefused() {
    for length in [(64 << 10) + 1, 1 << 20] {
      var dialogue = Dialogue()
      dialogue.send(Wire.fixedNoZeroes)
      dialogue.send(
        Wire.option(7, [UInt8](repeating: 0, count: length)) + Wire.option(8), pieceBytes: 65_536)
      #expect(
        dialogue.output
          == refusal(7, 0x8000_0009, "the option is too long") + Wire.optionReply(8, 1))
    }
  }

  @Test func anAbsurdOptionLengthEndsTheSessionAtOnce() {
    for length in [(1 << 20) + 1, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt32] {
      for number in [1, 3, 7, 10, 99] as [UInt32] {
        var dialogue = Dialogue()
        dialogue.send(Wire.fixedNoZeroes + Wire.option(number, length: length, []))
        #expect(dialogue.isClosed)
      }
    }
  }

  @Test func optionsWithoutEndEndTheSession() {
    var dialogue = Dialogue()
    dialogue.send(Wire.fixedNoZeroes)
    for _ in 0..<512 { dialogue.send(Wire.option(8)) }
    #expect(!dialogue.isClosed)
    dialogue.send(Wire.option(8))
    #expect(dialogue.isClosed)
  }
}
