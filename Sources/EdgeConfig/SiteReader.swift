import EdgeHTTP
import EdgeNode
import EdgePolicy
import EdgePrimitives
import Yams

/// Reads `sites`.
struct SiteReader {
    let reading: Reading
    /// The names in `origins`, those included whose sections are wrong.
    let origins: [String]

    func read(_ sections: [ConfigurationSection]) -> [SiteConfiguration] {
        var lines: [String: Int] = [:]
        return sections.map { section in
            var site = SiteConfiguration(hosts: hosts(section, lines: &lines), origin: origin(section))
            if let stale = section.section("stale") { site.stale = self.stale(stale) }
            site.honoursClient = section.flag("honourClient") ?? site.honoursClient
            site.methods = methods(section)
            site.purgeFrom = networks(section)
            site.clientAddressField = section.fieldName("clientAddress") { name in
                guard FieldText.isFree(name) else {
                    return TextProblem("the client's address may not be sent in \(name)", "write X-Real-IP")
                }
                return nil
            }
            site.forwarding = section.forwarding("forward") ?? site.forwarding
            let rules = section.sections("rules", mayBeEmpty: true) ?? []
            if rules.count > Site.maxRules {
                reading.report(
                    rules[Site.maxRules].node, "a site has at most \(Site.maxRules) rules",
                    "join some, or split the site")
            }
            let read = rules.map { ($0, RuleReader(section: $0).read()) }
            site.rules = read.map(\.1)
            RuleReachability.check(read, reading: reading)
            return site
        }
    }

    private func hosts(_ section: ConfigurationSection, lines: inout [String: Int]) -> [String] {
        let example = "write a list such as [\"www.example.com\"]"
        guard let value = section.value("hosts"), let members = section.list(value, "hosts", example) else {
            return []
        }
        var hosts: [String] = []
        for node in members {
            guard let text = section.text(node, "hosts", "a host name") else { continue }
            do throws(TextProblem) {
                let host = try Self.hostPattern(text)
                if let line = lines[host] {
                    reading.report(
                        node, "the host \"\(host)\" is named twice", "the first is on line \(line): keep one")
                } else {
                    lines[host] = node.mark?.line ?? 0
                    hosts.append(host)
                }
            } catch {
                reading.report(node, error)
            }
        }
        return hosts
    }

    /// A host in its normal form: lower case, without port and trailing dot.
    static func hostPattern(_ text: String) throws(TextProblem) -> String {
        let wrong = "\"\(FieldText.escape(text))\" is not a host"
        if let scheme = text.firstRange(of: "://") {
            let rest = text[scheme.upperBound...]
            throw TextProblem(wrong, "write \(rest.prefix { $0 != "/" })")
        }
        if HostText.isIPv6(text) { throw TextProblem(wrong, "write \"[\(text)]\"") }
        var (host, port) = HostText.split(text.lowercased())
        if let port, HostText.port(port, in: 0...65535) == nil {
            throw TextProblem("\(wrong): \"\(port)\" is not a port", "write \"\(host)\"")
        }
        if host.hasSuffix("."), host.count > 1 { host.removeLast() }
        if host == "*" { return host }
        let name = host.hasPrefix("*.") ? String(host.dropFirst(2)) : host
        if name.contains("*") {
            let parent = name.split(separator: ".").drop { $0.contains("*") }.joined(separator: ".")
            throw TextProblem(
                "\(wrong): a * can only be the whole first label",
                parent.contains("*") || parent.isEmpty
                    ? "write one such as \"*.example.net\"" : "write \"*.\(parent)\"")
        }
        let isAddress =
            name.hasPrefix("[") && name.hasSuffix("]") && HostText.isIPv6(String(name.dropFirst().dropLast()))
        guard HostText.isNameOrIPv4(name) || (isAddress && name == host) else {
            throw TextProblem(wrong, "write one such as www.example.com or \"*.example.net\"")
        }
        return host
    }

    private func methods(_ section: ConfigurationSection) -> [String]? {
        let example = "write a list such as [GET, HEAD, POST]"
        guard let value = section.value("methods"), let members = section.list(value, "methods", example)
        else {
            return nil
        }
        var methods: [String] = []
        for node in members {
            guard let text = section.text(node, "methods", "a method") else { continue }
            if let problem = Self.problem(method: text) {
                reading.report(node, problem)
            } else if methods.contains(text) {
                reading.report(node, "the method \(text) is named twice", "keep one")
            } else {
                methods.append(text)
            }
        }
        return methods
    }

    /// What is wrong with a method (RFC 9110 9.1, where case counts).
    private static func problem(method: String) -> TextProblem? {
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        switch method.uppercased() {
        case let upper where upper != method && known.contains(upper):
            return TextProblem("\"\(method)\" is not a method", "write \(upper)")
        case "CONNECT", "TRACE": return TextProblem("the node never takes \(method)", "remove it")
        case "PURGE":
            return TextProblem("PURGE is not for the site to take", "remove it, and see purgeFrom")
        default: break
        }
        guard !method.isEmpty, method.utf8.allSatisfy({ Octet.isToken($0) }) else {
            return TextProblem("\"\(FieldText.escape(method))\" is not a method", "write one such as GET")
        }
        return nil
    }

    private func networks(_ section: ConfigurationSection) -> [NetworkRange] {
        let example = "write a list such as [10.0.0.0/8, \"2001:db8::/32\"]"
        guard let value = section.value("purgeFrom"),
            let members = section.list(value, "purgeFrom", example)
        else { return [] }
        return members.compactMap { node in
            guard let text = section.text(node, "purgeFrom", "a network") else { return nil }
            do throws(NetworkRange.Problem) {
                return try NetworkRange(text)
            } catch {
                let wrong = "\"\(FieldText.escape(text))\" is not a network"
                switch error {
                case .malformed:
                    reading.report(node, wrong, "write one such as 10.0.0.0/8 or \"2001:db8::/32\"")
                case .bitsBeyondPrefix(let network):
                    reading.report(node, "\(wrong): it has bits beyond its prefix", "write \"\(network)\"")
                }
                return nil
            }
        }
    }

    private func origin(_ section: ConfigurationSection) -> String {
        guard let (name, node) = section.text("origin", "a name from origins") else { return "" }
        if !origins.contains(name) {
            let near = NearestName.find(name, among: origins)
            let all =
                origins.isEmpty ? "add it to origins" : "the origins are \(origins.joined(separator: ", "))"
            reading.report(
                node, "there is no origin \"\(FieldText.escape(name))\"",
                near.map { "did you mean \"\($0)\"?" } ?? all)
        }
        return name
    }

    private func stale(_ section: ConfigurationSection) -> CachingRules.Stale {
        var stale = CachingRules.Stale()
        stale.ifErrorMilliseconds = section.duration("ifError")
        stale.ifUnreachableMilliseconds = section.duration("ifUnreachable") ?? stale.ifUnreachableMilliseconds
        stale.whileRevalidateMilliseconds = section.duration("whileRevalidate")
        stale.afterMilliseconds = section.duration("after")
        stale.despiteSharedMaxAge = section.flag("despiteSharedMaxAge") ?? stale.despiteSharedMaxAge
        return stale
    }
}
