// swift-tools-version:6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")

let package = Package(
    name: "rockpool",
    products: [.executable(name: "rockpool", targets: ["rockpool"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CEdgeLinux"),
        .target(name: "EdgePrimitives", swiftSettings: strict),
        .target(name: "EdgeHTTP", dependencies: ["EdgePrimitives"], swiftSettings: strict),
        .target(name: "EdgePolicy", dependencies: ["EdgeHTTP", "EdgePrimitives"], swiftSettings: strict),
        .target(
            name: "EdgeStore",
            dependencies: ["EdgePolicy", "EdgeHTTP", "EdgePrimitives", "CEdgeLinux", nioCore],
            swiftSettings: strict),
        .target(
            name: "EdgeOrigin", dependencies: ["EdgePolicy", "EdgeHTTP", "EdgePrimitives", "CCurl", nioCore],
            swiftSettings: strict),
        .target(
            name: "EdgeNode",
            dependencies: ["EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives", nioCore],
            swiftSettings: strict),
        .target(
            name: "EdgeServer",
            dependencies: [
                "EdgeNode", "EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives", "CEdgeLinux", nioCore,
                nioPosix,
            ],
            swiftSettings: strict),
        .target(
            name: "EdgeAdmin",
            dependencies: [
                "EdgeNode", "EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgePrimitives", "CEdgeLinux", nioCore,
                nioPosix,
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
            ],
            resources: [
                .embedInCode("openapi.json"), .embedInCode("Dashboard/page.html"),
                .embedInCode("Dashboard/dashboard.css"), .embedInCode("Dashboard/dashboard.js"),
            ],
            swiftSettings: strict),
        .target(
            name: "EdgeConfig",
            dependencies: [
                "EdgeNode", "EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives",
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "rockpool",
            dependencies: [
                "EdgeServer", "EdgeAdmin", "EdgeConfig", "EdgeNode", "EdgeStore", "EdgeOrigin", "EdgePolicy",
                "EdgeHTTP",
                "EdgePrimitives", "CEdgeLinux", "CCurl", "CZlib", nioCore, nioPosix,
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "replay",
            dependencies: [
                "CEdgeLinux", "EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives", nioCore,
            ],
            path: "Benchmarks/Replay", swiftSettings: strict),
        .target(
            name: "EdgeTesting",
            dependencies: [
                "EdgeServer", "EdgeNode", "EdgeOrigin", "EdgeStore", "EdgePolicy", nioCore, nioPosix,
            ],
            path: "Tests/EdgeTesting", swiftSettings: strict),
        .target(
            name: "FuzzKit",
            dependencies: [
                "EdgeServer", "EdgeNode", "EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgeHTTP",
                "EdgePrimitives",
                nioCore, nioPosix,
            ],
            path: "Tests/Fuzz/FuzzKit", swiftSettings: strict),
        .executableTarget(
            name: "fuzzwire", dependencies: ["FuzzKit", "EdgeStore", "EdgePrimitives"],
            path: "Tests/Fuzz/FuzzWire", swiftSettings: strict),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzKit", "EdgeTesting"], swiftSettings: strict),
        .testTarget(name: "EdgePrimitivesTests", dependencies: ["EdgePrimitives"], swiftSettings: strict),
        .testTarget(
            name: "EdgeHTTPTests", dependencies: ["EdgeHTTP", "EdgePrimitives"], swiftSettings: strict),
        .testTarget(
            name: "EdgePolicyTests", dependencies: ["EdgePolicy", "EdgeHTTP", "EdgePrimitives"],
            swiftSettings: strict),
        .testTarget(
            name: "EdgeStoreTests",
            dependencies: ["EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives", "CEdgeLinux", nioCore],
            swiftSettings: strict),
        .testTarget(
            name: "EdgeOriginTests",
            dependencies: ["EdgeTesting", "EdgeOrigin", "EdgeHTTP", "EdgePrimitives", "CCurl", nioCore],
            swiftSettings: strict),
        .testTarget(
            name: "EdgeNodeTests",
            dependencies: [
                "EdgeTesting", "EdgeNode", "EdgeOrigin", "EdgePolicy", "EdgeHTTP", "EdgePrimitives", nioCore,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "EdgeConfigTests",
            dependencies: ["EdgeConfig", "EdgeNode", "EdgeOrigin", "EdgePolicy"], swiftSettings: strict),
        .testTarget(
            name: "EdgeAdminTests",
            dependencies: [
                "EdgeTesting", "EdgeAdmin", "EdgeNode", "EdgePolicy", "EdgePrimitives", nioCore, nioPosix,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "FaultTests",
            dependencies: ["EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives", nioCore],
            swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "rockpool", "EdgeNode", "EdgeServer", "EdgePrimitives",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .testTarget(name: "TidyTests", swiftSettings: strict),
        .testTarget(
            name: "ConformanceTests", dependencies: ["EdgeTesting", "EdgeNode", "EdgePolicy"],
            swiftSettings: strict),
        .testTarget(
            name: "WireTests",
            dependencies: [
                "EdgeTesting", "EdgeServer", "EdgeNode", "EdgeOrigin", "EdgePolicy", nioCore, nioPosix,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ScenarioTests",
            dependencies: [
                "EdgeTesting", "EdgeNode", "EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgePrimitives", nioCore,
            ],
            swiftSettings: strict),
    ]
)
