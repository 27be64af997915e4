import ArgumentParser
import EdgeConfig
import EdgeNode

/// `rockpool check FILE`
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check a configuration file; exit 0, or 1 with what is wrong and where.")

    @Argument(help: "The YAML file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    func run() throws {
        let configuration: NodeConfiguration
        do {
            configuration = try ConfigurationFile.load(path: file)
        } catch {
            for problem in error.errors { Terminal.error("\(problem)") }
            throw ExitCode(1)
        }
        for notice in ConfigurationNotice.all(of: configuration, file: file) { print(notice) }
        print("\(file): ok")
    }
}
