import BlockExport

/// What each option does.
extension Negotiation {
  mutating func perform(
    _ number: UInt32, _ data: [UInt8], _ settled: Settled, _ exports: NBDExports,
    _ output: inout [UInt8]
  ) -> Outcome {
    guard let option = NBDOption(rawValue: number) else {
      Self.refuse(number, .unsupported, "this server does not know the option", into: &output)
      return .again
    }
    switch option {
    case .exportName:
      return performExportName(data, settled, exports, &output)
    case .abort:
      // Data that comes with it is ignored, as the protocol asks.
      Self.reply(to: number, .acknowledged, into: &output)
      return end(consuming: 0).outcome
    case .list:
      guard data.isEmpty else { return refuseData(option, &output) }
      let names = exports.names().filter { $0.utf8.count <= NBDLimits.stringBytes }
      return list(names, of: option, from: 0, settled, &output).outcome
    case .info, .go:
      return performInfo(option, data, settled, exports, &output)
    case .structuredReply, .extendedHeaders:
      guard data.isEmpty else { return refuseData(option, &output) }
      guard !settled.extendedHeaders else {
        return refuse(
          option, option == .structuredReply ? .extendedHeadersRequired : .invalid,
          "extended headers have been negotiated", &output)
      }
      var settled = settled
      // Whoever understands extended headers understands chunks.
      settled.structuredReplies = true
      settled.extendedHeaders = option == .extendedHeaders
      state = .haggling(settled)
      Self.reply(to: number, .acknowledged, into: &output)
      return .again
    case .listMetaContext, .setMetaContext:
      return performMetaContext(option, data, settled, exports, &output)
    }
  }

  private func refuseData(_ option: NBDOption, _ output: inout [UInt8]) -> Outcome {
    Self.refuse(option.rawValue, .invalid, "the option takes no data", into: &output)
    return .again
  }

  private func refuse(
    _ option: NBDOption, _ type: OptionReply, _ reason: String, _ output: inout [UInt8]
  ) -> Outcome {
    Self.refuse(option.rawValue, type, reason, into: &output)
    return .again
  }

  /// The old way to begin: no reply can refuse it, so a name that is not known ends the session.
  private mutating func performExportName(
    _ name: [UInt8], _ settled: Settled, _ exports: NBDExports, _ output: inout [UInt8]
  ) -> Outcome {
    guard !settled.extendedHeaders, name.count <= NBDLimits.stringBytes,
      let export = exports.resolve(name)
    else { return end(consuming: 0).outcome }
    output.append(bigEndian: export.sizeBytes)
    output.append(bigEndian: flags(of: export, settled).rawValue)
    if !settled.omitsZeroes { output.append(contentsOf: repeatElement(0, count: 124)) }
    return transmit(export, settled)
  }

  private func flags(of export: ExportDescription, _ settled: Settled) -> TransmissionFlags {
    ExportAgreement.transmissionFlags(
      of: export, structuredReplies: settled.structuredReplies,
      statusPayload: settled.extendedHeaders && !contexts(for: export, settled).isEmpty)
  }

  private func contexts(for export: ExportDescription, _ settled: Settled) -> [MetaContext] {
    settled.metaContextVolume == export.volume ? settled.metaContexts : []
  }

  private mutating func transmit(_ export: ExportDescription, _ settled: Settled) -> Outcome {
    state = .ended
    return .transmit(
      ExportAgreement(
        export: export, structuredReplies: settled.structuredReplies,
        extendedHeaders: settled.extendedHeaders, contexts: contexts(for: export, settled)))
  }

  // MARK: INFO and GO

  private struct InfoRequest {
    var name: [UInt8]
    var types: [UInt16]

    /// Nil if the data does not have exactly the form that the protocol gives.
    init?(_ data: [UInt8]) {
      var reader = BigEndianReader(data)
      guard let nameLength = reader.integer(UInt32.self), let name = reader.take(nameLength),
        let count = reader.integer(UInt16.self), reader.remaining == 2 * Int(count)
      else { return nil }
      self.name = name
      types = []
      while let type = reader.integer(UInt16.self) { types.append(type) }
    }
  }

  private mutating func performInfo(
    _ option: NBDOption, _ data: [UInt8], _ settled: Settled, _ exports: NBDExports,
    _ output: inout [UInt8]
  ) -> Outcome {
    guard let request = InfoRequest(data) else {
      return refuse(option, .invalid, "the option's lengths do not fit its data", &output)
    }
    guard request.name.count <= NBDLimits.stringBytes else {
      return refuse(option, .tooBig, "the export's name is longer than 4096 bytes", &output)
    }
    guard let export = exports.resolve(request.name) else {
      return refuseUnknown(option, request.name, &output)
    }
    reply(option, .export, Self.exportInfo(export, flags(of: export, settled)), &output)
    // Sent unasked too, as QEMU does: a client that does not know it ignores it.
    reply(option, .blockSize, Self.blockSizeInfo(export), &output)
    if request.types.contains(InfoType.name.rawValue) {
      reply(option, .name, Array(export.name.utf8), &output)
    }
    if request.types.contains(InfoType.description.rawValue) {
      reply(option, .description, Array("Lamina thin volume \(export.uuid)".utf8), &output)
    }
    Self.reply(to: option.rawValue, .acknowledged, into: &output)
    return option == .go ? transmit(export, settled) : .again
  }

  private func refuseUnknown(
    _ option: NBDOption, _ name: [UInt8], _ output: inout [UInt8]
  ) -> Outcome {
    refuse(
      option, .unknownExport,
      name.isEmpty
        ? "there is no default export; ask for one by name"
        : "there is no export of that name", &output)
  }

  private func reply(
    _ option: NBDOption, _ type: InfoType, _ payload: [UInt8], _ output: inout [UInt8]
  ) {
    var data: [UInt8] = []
    data.append(bigEndian: type.rawValue)
    data.append(contentsOf: payload)
    Self.reply(to: option.rawValue, .info, data, into: &output)
  }

  private static func exportInfo(
    _ export: ExportDescription, _ flags: TransmissionFlags
  ) -> [UInt8] {
    var payload: [UInt8] = []
    payload.append(bigEndian: export.sizeBytes)
    payload.append(bigEndian: flags.rawValue)
    return payload
  }

  /// Minimum, preferred, maximum. Preferred is the block of validity: below it a write is a
  /// read-modify-write. (A larger figure would make kernel clients with 4 KiB pages refuse.)
  private static func blockSizeInfo(_ export: ExportDescription) -> [UInt8] {
    var payload: [UInt8] = []
    payload.append(bigEndian: UInt32(export.logicalBlockBytes))
    payload.append(bigEndian: UInt32(4096))
    payload.append(bigEndian: UInt32(ExportLimits.maximumTransferBytes))
    return payload
  }

  // MARK: Metadata contexts

  private struct MetaContextRequest {
    var name: [UInt8]
    var queries: [[UInt8]]

    init?(_ data: [UInt8]) {
      var reader = BigEndianReader(data)
      guard let nameLength = reader.integer(UInt32.self), let name = reader.take(nameLength),
        let count = reader.integer(UInt32.self)
      else { return nil }
      self.name = name
      queries = []
      // Each turn takes four bytes at least, so the count cannot make this long.
      for _ in 0..<count {
        guard let length = reader.integer(UInt32.self), let query = reader.take(length) else {
          return nil
        }
        queries.append(query)
      }
      guard reader.remaining == 0 else { return nil }
    }

    var hasLongString: Bool {
      name.count > NBDLimits.stringBytes
        || queries.contains { $0.count > NBDLimits.stringBytes }
    }
  }

  private mutating func performMetaContext(
    _ option: NBDOption, _ data: [UInt8], _ before: Settled, _ exports: NBDExports,
    _ output: inout [UInt8]
  ) -> Outcome {
    var settled = before
    // Whatever happens next, an earlier selection is gone.
    if option == .setMetaContext { settled.metaContexts = [] }
    state = .haggling(settled)

    guard let request = MetaContextRequest(data) else {
      return refuse(option, .invalid, "the option's lengths do not fit its data", &output)
    }
    guard settled.structuredReplies else {
      return refuse(option, .invalid, "structured replies must be negotiated first", &output)
    }
    guard !request.hasLongString else {
      return refuse(option, .tooBig, "a string is longer than 4096 bytes", &output)
    }
    guard let export = exports.resolve(request.name) else {
      return refuseUnknown(option, request.name, &output)
    }
    // What is not valid UTF-8 names nothing.
    let queries = request.queries.compactMap { String(validating: $0, as: UTF8.self) }
    let directory = exports.directory
    guard option == .setMetaContext else {
      var known: Set<String> = []
      let names =
        request.queries.isEmpty
        ? MetaContextName.listed(of: export, directory)
        : queries.flatMap { MetaContextName.listed($0, of: export, directory) }
          .filter { known.insert($0).inserted }
      return list(names, of: option, from: 0, settled, &output).outcome
    }
    var selected: [(name: String, base: ExportBase?)] = []
    for name in queries where !selected.contains(where: { $0.name == name }) {
      if name == MetaContextName.allocation {
        selected.append((name, nil))
      } else if let base = MetaContextName.base(of: name, of: export, directory) {
        selected.append((name, base))
      }
    }
    guard selected.count <= MetaContextName.selectedAtMost else {
      return refuse(option, .tooBig, "at most 16 contexts can be selected", &output)
    }
    settled.metaContextVolume = export.volume
    for (index, context) in selected.enumerated() {
      let id = UInt32(index + 1)
      settled.metaContexts.append(MetaContext(id: id, base: context.base))
      var reply: [UInt8] = []
      reply.append(bigEndian: id)
      reply.append(contentsOf: Array(context.name.utf8))
      Self.reply(to: option.rawValue, .metaContext, reply, into: &output)
    }
    state = .haggling(settled)
    Self.reply(to: option.rawValue, .acknowledged, into: &output)
    return .again
  }
}
