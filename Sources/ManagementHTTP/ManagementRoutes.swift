import Management

/// The control API, version 1.
public enum ManagementRoutes {
  public static let all: [ManagementRoute] = server + pool + volumes

  private static let server = [
    ManagementRoute(.get, "/v1/version", summary: "The versions that this server speaks.") {
      (_, _) throws(ManagementError) in
      try .json(LaminaVersion.current)
    }
  ]

  private static let pool = [
    ManagementRoute(.get, "/v1/pool", summary: "What the pool is, holds and has done.") {
      (_, service) throws(ManagementError) in
      try .json(try await service.status())
    },
    ManagementRoute(.post, "/v1/pool/checkpoint", summary: "Make a checkpoint.") {
      (_, service) throws(ManagementError) in
      try await service.checkpoint()
      return .noContent
    },
  ]

  private static let volumes = [
    ManagementRoute(.get, "/v1/volumes", summary: "All volumes, in the order of their names.") {
      (_, service) throws(ManagementError) in
      try .json(VolumeList(volumes: try await service.listVolumes()))
    },
    ManagementRoute(.post, "/v1/volumes", summary: "Create a volume.") {
      (input, service) throws(ManagementError) in
      let specification = try input.value(VolumeSpecification.self)
      let volume = try await service.createVolume(specification)
      return try .json(volume, status: 201, location: "/v1/volumes/\(volume.name)")
    },
    ManagementRoute(.get, "/v1/volumes/{name}", summary: "What a volume is and holds.") {
      (input, service) throws(ManagementError) in
      try .json(try await service.volume(named: try input.volumeName()))
    },
    ManagementRoute(.delete, "/v1/volumes/{name}", summary: "Delete a volume.") {
      (input, service) throws(ManagementError) in
      try await service.deleteVolume(named: try input.volumeName())
      return .noContent
    },
  ]
}
