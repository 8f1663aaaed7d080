import BlockIO
import Dispatch
import Glibc
import Logging
package import Management
import ManagementHTTP
import StorageUnits
import VolumeEngine

/// The engine behind the commands.
package struct EnginePoolOperations: PoolOperations {
  private let platform: PoolPlatform

  package init(platform: PoolPlatform = .system) { self.platform = platform }

  // MARK: Create

  package func create(
    _ specification: PoolSpecification, in state: StateFolder
  ) async throws(ManagementError) -> PoolStatus {
    if (try? state.record(of: specification.name)) != nil {
      throw .poolExists(specification.name, home: state.home)
    }
    try state.create()
    var made = MadeDevices()
    do throws(ManagementError) {
      let record = try format(specification, &made)
      try state.add(record)
    } catch {
      made.undo()
      throw error
    }
    made.close()
    return try await openedStatus(of: specification.name, in: state)
  }

  /// Opens the pool, asks for its status and closes it.
  func openedStatus(
    of pool: PoolName, in state: StateFolder, renames: Bool = false
  ) async throws(ManagementError) -> PoolStatus {
    let opened = try await open(pool, in: state, renames: renames)
    let status: PoolStatus
    do throws(ManagementError) {
      status = try await opened.service.status()
    } catch {
      try? await opened.close()
      throw error
    }
    try await opened.close()
    return status
  }

  /// The devices of a pool that is being made; files that were created go again if that fails.
  private struct MadeDevices {
    var devices: [FileDevice] = []
    var createdPaths: [String] = []

    func close() { PoolDevices.close(devices) }

    func undo() {
      close()
      for path in createdPaths { _ = unsafe unlink(path) }
    }
  }

  private func format(
    _ specification: PoolSpecification, _ made: inout MadeDevices
  ) throws(ManagementError) -> PoolRecord {
    for argument in specification.devices {
      try take(argument, specification, &made)
    }
    let uuid = SystemRandom.uuid()
    let deviceUUIDs = made.devices.map { _ in SystemRandom.uuid() }
    let run = specification.allocationRunBytes.map { Int($0) / StorageSizes.extentBytes }
    do throws(PoolCreationError) {
      try PoolCreation.create(
        made.devices,
        settings: PoolCreation.Settings(
          name: specification.name.text, poolUUID: uuid, deviceUUIDs: deviceUUIDs,
          layout: PoolLayout.Options(segmentBytes: specification.segmentSizeBytes),
          allocationRunExtents: run ?? Self.defaultRunExtents,
          trashExpirySeconds: specification.trashExpirySeconds,
          isForced: specification.overwriteForeignData, logNonce: SystemRandom.bits64(),
          opening: PoolHost.opening()))
    } catch { throw ManagementError(pool: specification.name, creating: error) }
    var devices: [PoolRecord.Device] = []
    for (index, device) in made.devices.enumerated() {
      devices.append(
        PoolRecord.Device(
          path: device.name, uuid: deviceUUIDs[index], index: UInt16(index),
          sizeBytes: device.sizeBytes))
    }
    return PoolRecord(
      name: specification.name, uuid: uuid, cacheMode: specification.cacheMode,
      allocationRunBytes: specification.allocationRunBytes, devices: devices)
  }

  /// 1 MiB: what one window of a sequential write holds.
  private static let defaultRunExtents = 16

  /// Opens the device, or creates the file if it has a size and is not there.
  private func take(
    _ argument: DeviceArgument, _ specification: PoolSpecification, _ made: inout MadeDevices
  ) throws(ManagementError) {
    let path = argument.path
    let cache = specification.cacheMode.fileMode
    do throws(DeviceOpenError) {
      if let size = argument.sizeBytes, !DevicePaths.exists(path) {
        made.devices.append(try FileDevice.create(path, sizeBytes: size, cache: cache))
        made.createdPaths.append(path)
        return
      }
    } catch { throw ManagementError(opening: error) }
    let device: FileDevice
    do throws(DeviceOpenError) {
      device = try FileDevice.open(path, cache: cache)
    } catch {
      guard error.problem == .notFound else { throw ManagementError(opening: error) }
      throw ManagementError(
        .deviceMissing, "there is no \(path)",
        correction: "Name a device that exists, or have the file created: --device \(path):SIZE",
        objects: [ManagementObject(.device, path)])
    }
    made.devices.append(device)
    try checkSignature(path, specification)
    if let size = argument.sizeBytes, size != device.sizeBytes {
      throw ManagementError(
        .deviceUnsuitable, "\(path) has \(device.sizeBytes) bytes, not \(size)",
        correction: "Leave the size out to use the device whole, or choose another path.",
        objects: [ManagementObject(.device, path)])
    }
  }

  private func checkSignature(
    _ path: String, _ specification: PoolSpecification
  ) throws(ManagementError) {
    guard !specification.overwriteForeignData else { return }
    let signature: String?
    do throws(DeviceError) {
      signature = try DeviceSignature.probe(path)
    } catch { throw ManagementError(device: error) }
    guard let signature else { return }
    throw ManagementError(
      .deviceHasData, "the device \(path) is in use: it carries \(signature)",
      correction: "Choose another device, or give --force to lose what it holds.",
      objects: [ManagementObject(.device, path)])
  }

  // MARK: Open

  private struct OpenEngine: OpenPool {
    let thread: EngineThread
    var service: any PoolService { EnginePoolService(thread: thread) }
    func close() async throws(ManagementError) { try await thread.stop() }
  }

  package func open(
    _ pool: PoolName, in state: StateFolder
  ) async throws(ManagementError) -> any OpenPool {
    try await open(pool, in: state, renames: false)
  }

  func open(
    _ pool: PoolName, in state: StateFolder, renames: Bool
  ) async throws(ManagementError) -> any OpenPool {
    let record = try state.record(of: pool)
    return OpenEngine(
      thread: try await EngineThread.start(
        PoolHost.Options(
          record: record, state: state, cache: record.cacheMode, nodeCacheBytes: nil, serve: nil,
          renames: renames, purpose: "lamina, a command on pool \(pool)", platform: platform)))
  }

  // MARK: Serve

  package func serve(
    _ options: ServeOptions, in state: StateFolder,
    ready: @escaping @Sendable (ServerReady, _ stop: @escaping @Sendable () -> Void) -> Void
  ) async throws(ManagementError) {
    let record = try state.record(of: options.pool)
    let thread = try await EngineThread.start(
      PoolHost.Options(
        record: record, state: state, cache: options.cacheMode ?? record.cacheMode,
        nodeCacheBytes: options.nodeCacheBytes, serve: options,
        purpose: "lamina serve \(options.pool)", platform: platform))
    let signals = StopSignals { thread.post { $0.beginStop() } }
    defer { signals.cancel() }
    var logger = Logger(label: "lamina") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .notice
    let control: ManagementServer
    do throws(ManagementError) {
      control = try await ManagementServer.start(
        serving: EnginePoolService(thread: thread),
        socketPath: try state.controlSocketPath(of: options.pool),
        logger: logger)
    } catch {
      try? await thread.stop()
      throw error
    }
    let export = options.defaultExport?.text ?? ""
    ready(
      ServerReady(
        pool: options.pool.text, listeners: thread.listeners.map(\.description),
        uris: thread.listeners.map { $0.nbdURI(export: export) },
        controlSocketPath: control.socketPath, processID: getpid())
    ) { thread.post { $0.beginStop() } }
    do throws(ManagementError) {
      try await thread.waitUntilEnded()
    } catch {
      await control.stop()
      throw error
    }
    await control.stop()
  }
}

/// SIGTERM and SIGINT ask for a clean stop instead of ending the process.
final class StopSignals: @unchecked Sendable {
  // Sendable: the sources are only made here and cancelled once.
  private let sources: [any DispatchSourceSignal]

  init(_ stop: @escaping @Sendable () -> Void) {
    sources = [SIGTERM, SIGINT].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler(handler: stop)
      source.resume()
      return source
    }
  }

  func cancel() { for source in sources { source.cancel() } }
}
