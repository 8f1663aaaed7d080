import ArgumentParser
import Management

struct VolumeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "volume", abstract: "Create, show, change, clone, roll back and delete volumes.",
    subcommands: [
      VolumeCreate.self, VolumeShowList.self, VolumeShow.self, VolumeResize.self,
      VolumeRename.self, VolumeSet.self, VolumeClone.self, VolumeRollback.self, VolumeDelete.self,
    ])
}

struct VolumeCreate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Create a volume.",
    discussion: """
      A volume takes no space until it is written to, and may be larger than its pool. Its size is \
      exact: any multiple of the logical block size, never rounded.

      Examples:
        lamina volume create tank/disk 10T
        lamina volume create tank/db --size 1.5GiB --block-size 4096 --full error
      """)

  @Argument(help: ArgumentHelp("The new volume.", valueName: "pool/volume"))
  var volume: String

  @Argument(help: ArgumentHelp("Its size; or use --size.", valueName: "size"))
  var positionalSize: String?

  @Option(help: ArgumentHelp("Its size: bytes, or with K, M, G, T, P (powers of 1024)."))
  var size: String?

  @Option(
    help: ArgumentHelp(
      "What a write does when the pool has no space: wait (60 seconds), wait:SECONDS or error.",
      valueName: "policy"))
  var full: String?

  @Option(help: ArgumentHelp("The logical block size: 512 or 4096.", valueName: "bytes"))
  var blockSize = VolumeSpecification.defaultLogicalBlockBytes

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try VolumeReference(volume)
      let specification = try specification(reference.volume)
      let access = PoolAccess(state: state)
      let created = try await access.use(reference.pool) { (service) throws(ManagementError) in
        try await service.createVolume(specification)
      }
      return VolumeResult(
        output: created, nextCommand: "lamina serve \(reference.pool)\(shared.homeArgument)")
    }
  }

  func specification(_ name: VolumeName) throws(ManagementError) -> VolumeSpecification {
    let text: String
    switch (positionalSize, size) {
    case (let text?, nil), (nil, let text?): return try specification(name, size: text)
    case (nil, nil): text = "The size is missing."
    case (_?, _?): text = "The size is given twice."
    }
    throw ManagementError(
      .invalidArgument, "volume '\(name)' needs one size", cause: text,
      correction: "Write it behind the name: lamina volume create \(volume) 10G",
      objects: [ManagementObject(.option, "--size")])
  }

  private func specification(
    _ name: VolumeName, size: String
  ) throws(ManagementError) -> VolumeSpecification {
    try VolumeSpecification(
      name: name, sizeBytes: SizeText.parse(size), logicalBlockBytes: blockSize,
      fullPolicy: full.map { (text) throws(ManagementError) in try FullPolicy(text) } ?? .standard)
  }
}

struct VolumeShowList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the volumes of a pool.",
    discussion: """
      Examples:
        lamina volume list tank
        lamina volume list tank --json | jq -r '.volumes[].name'
      """)

  @Argument(help: "The name of the pool.")
  var pool: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let pool = try PoolName(pool)
      let access = PoolAccess(state: state)
      let volumes = try await access.use(pool) { (service) throws(ManagementError) in
        try await service.listVolumes()
      }
      let next =
        volumes.isEmpty ? "lamina volume create \(pool)/disk 100G\(shared.homeArgument)" : nil
      return VolumeListResult(output: VolumeList(volumes: volumes), nextCommand: next)
    }
  }
}

struct VolumeShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show what a volume is and holds, and what pins its space.",
    discussion: """
      "exclusive" is data that nothing else holds: deleting the volume frees it. "shared" is data \
      that a snapshot or a clone holds too.

      Examples:
        lamina volume show tank/disk
        lamina volume show tank/disk --json | jq .exclusiveBytes
      """)

  @Argument(help: ArgumentHelp("The volume.", valueName: "pool/volume"))
  var volume: String

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) throws(ManagementError) in
      let reference = try VolumeReference(volume)
      let access = PoolAccess(state: state)
      let found = try await access.use(reference.pool) { (service) throws(ManagementError) in
        let volume = try await service.volume(named: reference.volume)
        return VolumeShowResult(
          volume: volume,
          space: try await service.estimateSpace(of: SpaceQuery(names: [volume.name])))
      }
      return found
    }
  }
}

struct VolumeDelete: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete a volume and all that it holds.",
    discussion: """
      It is gone at once, for hosts that use it too. If the pool has a trash (pool set), it goes \
      there with its snapshots and can be restored for a while; else, and with --now, its space \
      comes back in the background.

      Examples:
        lamina volume delete tank/disk
        lamina volume delete tank/disk --dry-run
        lamina volume delete tank/disk --now
      """)

  @Argument(help: ArgumentHelp("The volume.", valueName: "pool/volume"))
  var volume: String

  @Flag(
    name: [.customLong("now"), .customLong("permanently")],
    help: "Past the trash: it cannot be restored.")
  var now = false

  @Flag(help: "Only say what it would free.")
  var dryRun = false

  @OptionGroup var shared: SharedOptions

  func run() async throws {
    try await shared.report { (state) async throws(ManagementError) -> Outcome in
      let reference = try VolumeReference(volume)
      return try await PoolAccess(state: state).use(reference.pool) {
        (service) async throws(ManagementError) -> Outcome in
        if dryRun {
          let query = SpaceQuery(names: [reference.volume.text])
          return .second(
            SpaceEstimateResult(
              pool: reference.pool, space: try await service.estimateSpace(of: query)))
        }
        let hasTrash = try await service.status().trashExpirySeconds > 0
        try await service.deleteVolume(named: reference.volume, permanently: now)
        return .first(VolumeDeletedResult(volume: reference, isTrashed: hasTrash && !now))
      }
    }
  }

  private typealias Outcome = EitherResult<VolumeDeletedResult, SpaceEstimateResult>
}
