import Foundation
import NIOCore
import Synchronization

/// The demo's web site: the files of a folder, read once, and four things made by the origin itself:
/// `/large.bin`, `/api/time`, `/news.json` from its template, and the page with the address of the controls.
///
/// Lifetimes are short on purpose, so that a newcomer sees every state of a cache within a minute.
final class DemoSite: Sendable {
    static let largeFileBytes = 8 << 20
    /// The news changes this often; a revalidation in between gets 304.
    static let newsEditionSeconds = 15

    private let files: [String: DemoResource]
    private let newsTemplate: String
    private let served = Mutex(0)

    /// - Parameters:
    ///   - directory: the folder with index.html; every regular file directly in it is served by its name.
    ///   - controlAddress: what `{{control}}` in index.html becomes.
    init(directory: String, controlAddress: String) throws {
        var files: [String: DemoResource] = [:]
        var newsTemplate = ""
        let folder = URL(fileURLWithPath: directory, isDirectory: true)
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where !name.hasPrefix(".")
        {
            let file = folder.appendingPathComponent(name)
            let attributes = try FileManager.default.attributesOfItem(atPath: file.path)
            guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
            var bytes = Array(try Foundation.Data(contentsOf: file))
            if name == "news.json" {
                newsTemplate = String(decoding: bytes, as: UTF8.self)
                continue
            }
            if name == "index.html" {
                let page = String(decoding: bytes, as: UTF8.self)
                bytes = Array(page.replacingOccurrences(of: "{{control}}", with: controlAddress).utf8)
            }
            let modified = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
            files["/" + name] = Self.resource(name: name, bytes: bytes, modified: Int(modified))
        }
        guard let index = files["/index.html"] else { throw DemoSiteError.noIndex(directory: directory) }
        files["/"] = index
        files["/large.bin"] = Self.largeFile()
        self.files = files
        self.newsTemplate = newsTemplate
    }

    /// What the path names at this moment (Unix time in seconds); nil: 404.
    func resource(at path: String, now: Double) -> DemoResource? {
        switch path {
        case "/api/time": time(now: now)
        case "/news.json": news(now: now)
        default: files[path]
        }
    }

    private func time(now: Double) -> DemoResource {
        let count = served.withLock { count in
            count += 1
            return count
        }
        let text = "{\"time\":\"\(DemoDate.format(Int(now)))\",\"answersSoFar\":\(count)}\n"
        return DemoResource(
            body: ByteBuffer(string: text), contentType: "application/json", cacheControl: "no-store")
    }

    private func news(now: Double) -> DemoResource {
        let edition = Int(now) / Self.newsEditionSeconds
        let printed = DemoDate.format(edition * Self.newsEditionSeconds)
        let text = newsTemplate.replacingOccurrences(of: "{{edition}}", with: String(edition))
            .replacingOccurrences(of: "{{printed}}", with: printed)
        return DemoResource(
            body: ByteBuffer(string: text), contentType: "application/json",
            cacheControl: "max-age=5, stale-while-revalidate=20, stale-if-error=600",
            entityTag: "\"edition-\(edition)\"", lastModified: printed)
    }

    private static func resource(name: String, bytes: [UInt8], modified: Int) -> DemoResource {
        let body = ByteBuffer(bytes: bytes)
        return DemoResource(
            body: body, contentType: contentType(of: name),
            cacheControl: "max-age=\(lifetimeSeconds(of: name)), stale-if-error=600",
            entityTag: DemoResource.entityTag(of: body), lastModified: DemoDate.format(modified))
    }

    private static func lifetimeSeconds(of name: String) -> Int {
        if name == "logo.svg" { return 2 }
        if name == "index.html" { return 5 }
        return name.hasSuffix(".css") || name.hasSuffix(".js") ? 30 : 60
    }

    private static func contentType(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "json": "application/json"
        case "svg": "image/svg+xml"
        case "png": "image/png"
        default: "application/octet-stream"
        }
    }

    /// 8 MiB that are the same on every run and every machine: a xorshift sequence from a fixed seed.
    private static func largeFile() -> DemoResource {
        var body = ByteBufferAllocator().buffer(capacity: largeFileBytes)
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        for _ in 0..<(largeFileBytes / 8) {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            body.writeInteger(state, endianness: .little)
        }
        return DemoResource(
            body: body, contentType: "application/octet-stream",
            cacheControl: "max-age=60, stale-if-error=600",
            entityTag: DemoResource.entityTag(of: body), lastModified: DemoDate.format(1_767_225_600),
            pieceBytes: 512 << 10)
    }
}

enum DemoSiteError: Error, CustomStringConvertible {
    case noIndex(directory: String)

    var description: String {
        switch self {
        case .noIndex(let directory): "no index.html in \(directory)"
        }
    }
}
