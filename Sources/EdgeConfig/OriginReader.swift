import EdgeOrigin

/// Reads one member of `origins`.
struct OriginReader {
    let section: ConfigurationSection

    func read() -> OriginConfiguration {
        var origin = OriginConfiguration(urls: urls())
        origin.balance = section.choice("balance", as: OriginConfiguration.Balance.self) ?? origin.balance
        origin.host = host() ?? origin.host
        if let section = section.section("tls") { origin.tls = tls(section) }
        origin.headers = section.fields("headers")
        origin.connectTimeoutMilliseconds =
            section.duration("connectTimeout") ?? origin.connectTimeoutMilliseconds
        origin.firstByteTimeoutMilliseconds =
            section.duration("firstByteTimeout") ?? origin.firstByteTimeoutMilliseconds
        origin.stallTimeoutMilliseconds = section.duration("stallTimeout") ?? origin.stallTimeoutMilliseconds
        origin.fetchTimeoutMilliseconds = section.duration("fetchTimeout") ?? origin.fetchTimeoutMilliseconds
        origin.maxConnections = section.count("maxConnections") ?? origin.maxConnections
        if let section = section.section("health") { origin.health = health(section) }
        return origin
    }

    private func urls() -> [String] {
        let example = "write a list such as [\"https://origin.example\"]"
        guard let value = section.value("urls"), let members = section.list(value, "urls", example) else {
            return []
        }
        var urls: [String] = []
        for node in members {
            guard let text = section.text(node, "urls", "a URL such as https://origin.example") else {
                continue
            }
            do throws(TextProblem) {
                let url = try OriginURL.parse(text)
                if urls.contains(url) {
                    section.reading.report(node, "\(url) is in the list twice", "remove it")
                }
                urls.append(url)
            } catch {
                section.reading.report(node, error)
            }
        }
        return urls
    }

    private func host() -> OriginConfiguration.Host? {
        let expected = "client, origin or a host name"
        let text = section.text("host", expected) { text in
            let (name, port) = HostText.split(text)
            return HostText.isNameOrIPv4(name)
                && (port == nil || HostText.port(port ?? "", in: 1...65535) != nil)
        }
        switch text {
        case nil: return nil
        case "client": return .client
        case "origin": return .origin
        case .some(let name): return .name(name.lowercased())
        }
    }

    private func tls(_ section: ConfigurationSection) -> OriginConfiguration.TLS {
        var tls = OriginConfiguration.TLS()
        tls.authorityFile = section.file("ca")
        tls.serverName = section.text("serverName", "a host name", accepts: HostText.isNameOrIPv4)
        tls.clientCertificateFile = section.file("clientCertificate")
        tls.clientKeyFile = section.file("clientKey")
        for (name, other) in [("clientCertificate", "clientKey"), ("clientKey", "clientCertificate")] {
            if let node = section.value(name), section.value(other) == nil {
                section.reading.report(node, "\"\(name)\" is of no use without \"\(other)\"", "add \(other)")
            }
        }
        return tls
    }

    private func health(_ section: ConfigurationSection) -> OriginConfiguration.Health {
        let path = section.text("path", "a path such as /healthz") { text in
            text.hasPrefix("/") && text.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != 35 }
        }
        var health = OriginConfiguration.Health(path: path ?? "/")
        health.intervalMilliseconds = section.duration("interval") ?? health.intervalMilliseconds
        health.unhealthyAfter = section.count("unhealthyAfter") ?? health.unhealthyAfter
        health.healthyAfter = section.count("healthyAfter") ?? health.healthyAfter
        return health
    }
}
