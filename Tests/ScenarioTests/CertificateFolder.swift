import EdgeTesting
import Foundation

/// Keys and certificates made for one test, in a folder of its own.
struct CertificateFolder: Sendable {
    private let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "rockpool-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        try Self.requestConfiguration.write(to: file("request.cnf"), atomically: true, encoding: .utf8)
    }

    func remove() { try? FileManager.default.removeItem(at: url) }

    private func file(_ name: String) -> URL { url.appending(path: name) }

    /// The PEM file of the certificate of that name.
    func certificate(_ name: String) -> String { file(name + ".pem").path }
    /// The PEM file of its key.
    func key(_ name: String) -> String { file(name + ".key").path }

    /// A certificate that may sign others.
    func makeAuthority(_ name: String) async throws {
        try await openssl(
            ["req", "-x509", "-config", file("request.cnf").path, "-extensions", "authority", "-days", "2"]
                + newKey(name) + ["-subj", "/CN=Test authority \(name)", "-out", certificate(name)])
    }

    /// A certificate by the authority `issuer`.
    ///
    /// - Parameter subject: The subjectAltName, such as `DNS:origin.test` or `IP:127.0.0.1`.
    func issue(_ name: String, by issuer: String, for subject: String) async throws {
        let request = file(name + ".csr").path
        let extensions = file(name + ".ext")
        try "subjectAltName=\(subject)\n".write(to: extensions, atomically: true, encoding: .utf8)
        try await openssl(
            ["req", "-new", "-config", file("request.cnf").path] + newKey(name)
                + ["-subj", "/CN=\(name)", "-out", request])
        try await openssl([
            "x509", "-req", "-in", request, "-CA", certificate(issuer), "-CAkey", key(issuer),
            "-set_serial", "\(UInt32.random(in: 1...UInt32.max))", "-days", "2",
            "-extfile", extensions.path, "-out", certificate(name),
        ])
    }

    /// Puts the certificate of `other` in the place of the one of `name`.
    func replace(_ name: String, with other: String) throws {
        try Data(contentsOf: file(other + ".pem")).write(to: file(name + ".pem"), options: .atomic)
    }

    private func newKey(_ name: String) -> [String] {
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key(name)]
    }

    private func openssl(_ arguments: [String]) async throws {
        try await onThread {
            let process = try ChildProcess(["openssl"] + arguments, takesErrors: true)
            var output: [UInt8] = []
            while true {
                let more = process.read()
                if more.isEmpty { break }
                output += more
            }
            guard process.wait() == 0 else {
                throw TestFailure(
                    "openssl \(arguments.joined(separator: " ")): \(String(decoding: output, as: UTF8.self))")
            }
        }
    }

    private static let requestConfiguration = """
        [req]
        distinguished_name = name
        [name]
        [authority]
        basicConstraints = critical, CA:TRUE
        keyUsage = critical, keyCertSign, cRLSign
        subjectKeyIdentifier = hash

        """
}
