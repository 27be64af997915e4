import ArgumentParser
import EdgeConfig
import EdgeNode

/// `rockpool serve`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run a node, from flags or from a configuration file.")

    @Option(
        help: ArgumentHelp("The origin's base URL; the node serves every host from it.", valueName: "URL"))
    var origin: String?

    @Option(
        help: ArgumentHelp("A configuration file instead of --origin.", valueName: "FILE"),
        completion: .file(extensions: ["yaml", "yml"]))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "Where to listen; may be given again. Default 127.0.0.1:8080.", valueName: "HOST:PORT"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("The admin listener. Default 127.0.0.1:8081.", valueName: "HOST:PORT"))
    var admin: String?

    @Option(
        help: ArgumentHelp("A file with the admin API's bearer token.", valueName: "FILE"),
        completion: .file())
    var adminTokenFile: String?

    @Option(
        help: ArgumentHelp("The cache directory. Default ./rockpool-cache.", valueName: "DIR"),
        completion: .directory)
    var cacheDir: String?

    @Option(help: ArgumentHelp("Memory for stored responses. Default 256MiB.", valueName: "SIZE"))
    var memory: String?

    @Option(help: ArgumentHelp("Disk for stored responses. Default 10GiB.", valueName: "SIZE"))
    var disk: String?

    @Option(
        help: ArgumentHelp("The access log: a file, - for standard output, or off.", valueName: "FILE|-|off"),
        completion: .file())
    var accessLog: String?

    func run() async throws {
        let configuration = try load()
        let file = config
        let service = NodeService(configuration: configuration) {
            guard let file else { throw ValidationError("there is no configuration file to reload") }
            return try ConfigurationFile.load(path: file)
        }
        try await service.run()
    }

    private func load() throws -> NodeConfiguration {
        switch (origin, config) {
        case (nil, nil): throw ValidationError("serve needs --origin URL or --config FILE")
        case (.some, .some): throw ValidationError("--origin and --config exclude each other: give one")
        case (nil, .some(let file)):
            guard listen.isEmpty, admin == nil, cacheDir == nil, memory == nil, disk == nil, accessLog == nil,
                adminTokenFile == nil
            else {
                throw ValidationError("with --config, the file says all: put the other flags' values there")
            }
            do {
                return try ConfigurationFile.load(path: file)
            } catch {
                for problem in error.errors { Terminal.error("\(problem)") }
                throw ExitCode(1)
            }
        case (.some(let url), nil): return try fromFlags(url)
        }
    }

    private func fromFlags(_ url: String) throws -> NodeConfiguration {
        var configuration: NodeConfiguration
        do {
            configuration = NodeConfiguration.forSingleOrigin(url: try OriginURL.parse(url))
            if !listen.isEmpty { configuration.listeners = try listen.map { try ListenAddress.parse($0) } }
            if let admin { configuration.admin.address = try ListenAddress.parse(admin) }
        } catch {
            throw ValidationError("\(error)")
        }
        if let adminTokenFile { configuration.admin.tokenFile = adminTokenFile }
        if let cacheDir { configuration.cache.directory = cacheDir }
        if let memory { configuration.cache.memoryBytes = try Self.size(memory, "--memory") }
        if let disk { configuration.cache.diskBytes = try Self.size(disk, "--disk") }
        switch accessLog {
        case nil, "-": configuration.log.access = .standardOutput
        case "off": configuration.log.access = .off
        case .some(let path): configuration.log.access = .file(path)
        }
        return configuration
    }

    private static func size(_ text: String, _ flag: String) throws -> Int64 {
        guard let bytes = ByteSize.parse(text) else {
            throw ValidationError(
                "\(flag) \(text): a size is a number and a unit, for example 512MiB, 10GiB or 1GB")
        }
        return bytes
    }
}
