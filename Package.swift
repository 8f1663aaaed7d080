// swift-tools-version: 6.2
import PackageDescription

/// Settings that every Swift target shares: see `Docs/Decisions/0001-house-settings.md`.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
  .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

/// A program of libFuzzer: see `make fuzz`. In a normal build it is a program that does nothing.
func fuzzer(_ name: String) -> Target {
  .executableTarget(
    name: name, dependencies: ["FuzzBodies"], path: "Fuzz/\(name)", swiftSettings: settings)
}

let package = Package(
  name: "lamina",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(
      url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/apple/swift-nio", from: "2.99.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
  ],
  targets: [
    room("StorageUnits"),
    .target(name: "CChecksum"),
    room("DiskFormat", ["StorageUnits", "CChecksum"]),
    room("PoolCore", ["StorageUnits", "DiskFormat"]),
    .target(
      name: "CBlockIO", cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("uring"), .linkedLibrary("blkid")]),
    room("BlockIO", ["StorageUnits", "CBlockIO"]),
    room("BlockExport", ["StorageUnits"]),
    .target(name: "CDigest", linkerSettings: [.linkedLibrary("crypto")]),
    room("StreamFormat", ["StorageUnits", "CChecksum", "CDigest"]),
    room("VolumeEngine", ["StorageUnits", "DiskFormat", "PoolCore", "BlockIO", "BlockExport"]),
    room("NBDTarget", ["StorageUnits", "BlockExport"]),
    room("DiskSimulation", ["StorageUnits", "BlockIO"]),
    room("PoolInspection", ["StorageUnits", "DiskFormat", "BlockIO"]),
    room(
      "CrashExploration",
      [
        "VolumeEngine", "PoolCore", "DiskFormat", "StorageUnits", "BlockIO", "BlockExport",
        "DiskSimulation", "PoolInspection",
      ]),
    room("Management", ["StorageUnits"]),
    room(
      "ManagementHTTP",
      [
        "Management",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    room(
      "PoolServer",
      [
        "StorageUnits", "BlockIO", "BlockExport", "DiskFormat", "PoolCore", "VolumeEngine",
        "NBDTarget", "StreamFormat", "Management", "ManagementHTTP",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(
      name: "lamina",
      dependencies: [
        "PoolServer", "PoolInspection", "DiskFormat", "BlockIO", "StorageUnits", "Management",
        "ManagementHTTP",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),
    .target(
      name: "FuzzBodies",
      dependencies: [
        "StorageUnits", "DiskFormat", "PoolCore", "BlockIO", "VolumeEngine", "BlockExport",
        "NBDTarget", "Management", "StreamFormat",
      ], path: "Fuzz/FuzzBodies", swiftSettings: settings),
    fuzzer("FuzzDiskFormat"),
    fuzzer("FuzzRecovery"),
    fuzzer("FuzzReplay"),
    fuzzer("FuzzNegotiation"),
    fuzzer("FuzzTransmission"),
    fuzzer("FuzzControl"),
    fuzzer("FuzzStream"),
    tests("FuzzTests", ["FuzzBodies", "BlockExport", "StorageUnits"]),
    .executableTarget(
      name: "lamina-prove",
      dependencies: [
        "CrashExploration", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),
    .target(name: "ServerHarness", path: "Tests/ServerHarness", swiftSettings: settings),
    .executableTarget(
      name: "lamina-volatile",
      dependencies: [
        "PoolServer", "StorageUnits", "BlockIO", "Management",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Tests/VolatileServer", swiftSettings: settings),
    .target(
      name: "Torture",
      dependencies: ["ServerHarness", "PoolInspection", "BlockIO", "StorageUnits"],
      path: "Tests/Torture", swiftSettings: settings),
    .executableTarget(
      name: "lamina-torture",
      dependencies: [
        "Torture", "ServerHarness",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Tests/TortureRun", swiftSettings: settings),
    tests("InteropTests", ["ServerHarness", "Torture"]),
    tests("ClaimTests", ["ServerHarness"]),
    tests("StorageUnitsTests", ["StorageUnits"]),
    tests("StreamFormatTests", ["StreamFormat", "StorageUnits"], exclude: ["Golden"]),
    tests(
      "DiskFormatTests", ["DiskFormat", "StorageUnits", "CChecksum"], exclude: ["Golden"]),
    tests(
      "PoolCoreTests", ["PoolCore", "DiskFormat", "StorageUnits", "BlockIO", "DiskSimulation"]),
    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
    tests("BlockIOTests", ["BlockIO", "StorageUnits", "CAllocationCounter"]),
    tests(
      "VolumeEngineTests",
      [
        "VolumeEngine", "PoolCore", "DiskFormat", "StorageUnits", "BlockIO", "BlockExport",
        "DiskSimulation", "PoolInspection", "CrashExploration",
      ]),
    tests(
      "NBDTargetTests", ["NBDTarget", "BlockExport", "StorageUnits", "CAllocationCounter"]),
    tests(
      "CrashExplorationTests",
      ["CrashExploration", "VolumeEngine", "DiskSimulation", "BlockIO", "StorageUnits"]),
    tests("DiskSimulationTests", ["DiskSimulation", "BlockIO", "StorageUnits"]),
    tests(
      "PoolInspectionTests",
      [
        "PoolInspection", "VolumeEngine", "PoolCore", "DiskFormat", "StorageUnits", "BlockIO",
        "DiskSimulation",
      ]),
    tests(
      "CommandTests",
      [
        "lamina", "PoolServer", "PoolInspection", "Management", "ManagementHTTP", "ServerHarness",
        "StorageUnits",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    tests("ManagementTests", ["Management", "StorageUnits"]),
    tests(
      "ManagementHTTPTests",
      [
        "ManagementHTTP", "Management", "StorageUnits", "DiskSimulation",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ]),
  ]
)
