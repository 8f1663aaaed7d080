import PoolServer

/// Which implementation stands behind the commands.
enum Wiring {
  static let pools: any PoolOperations = EnginePoolOperations()
}
