/// The commands and queries of one pool. The engine's server implements it, and so does the client
/// of a running server, so that the command line need not know which it talks to.
///
/// An answer follows a flush round: what it says has happened survives a power cut. A method that
/// throws has changed nothing.
public protocol PoolService: Sendable {
  func status() async throws(ManagementError) -> PoolStatus

  /// In the order of their names.
  func listVolumes() async throws(ManagementError) -> [VolumeDescription]

  /// Throws `volumeNotFound`.
  func volume(named name: VolumeName) async throws(ManagementError) -> VolumeDescription

  /// Throws `volumeExists`, `noSpace`, `limitReached`, `poolReadOnly`.
  func createVolume(
    _ specification: VolumeSpecification
  ) async throws(ManagementError) -> VolumeDescription

  /// Answers at once; the space comes back in the background. Hosts that use the volume get errors
  /// from then on. Throws `volumeNotFound`, `poolReadOnly`.
  func deleteVolume(named name: VolumeName) async throws(ManagementError)

  /// Makes a checkpoint and answers when it is complete: space that was freed before can be used.
  func checkpoint() async throws(ManagementError)
}
