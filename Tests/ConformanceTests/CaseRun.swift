import EdgeTesting
import Foundation

/// Plays one case against a fresh origin and a fresh node, and collects what is wrong.
struct CaseRun {
    let testCase: ConformanceCase
    private let dates = DateText(base: Date())
    /// What the origin answers next.
    private let answers = Watched<[[ScriptStep]]>([])

    init(_ testCase: ConformanceCase) { self.testCase = testCase }

    func problems() async throws -> [String] {
        let answers = answers
        let collected = Watched<[String]>([])
        try await withNode(
            script: { _ in
                answers.change {
                    $0.isEmpty ? [.response(599, ["Cache-Control: no-store"])] : $0.removeFirst()
                }
            },
            configure: { testCase.site?.apply(to: &$0) }
        ) { node, origin in
            for (index, step) in testCase.steps.enumerated() {
                let found: [String]
                do {
                    found = try await play(step, node, origin)
                } catch {
                    found = ["\(error)"]
                }
                let place = "step \(index + 1)\(step.note.map { " (\($0))" } ?? "")"
                collected.change { $0 += found.map { "\(place): \($0)" } }
                if !found.isEmpty { break }
            }
            collected.change { $0 += origin.failures.map { "origin: \($0)" } }
        }
        return collected.current
    }

    private func play(
        _ step: ConformanceCase.Step, _ node: TestNode, _ origin: ScriptedServer
    ) async throws -> [String] {
        if let pause = step.pauseMilliseconds { try await Task.sleep(for: .milliseconds(pause)) }
        let before = origin.requestCount
        let asked = try prepare(step, origin)
        let prediction = try await Prediction(of: step, by: node.node, dates)
        let response = try await send(step.request, node)
        if step.behind == true {
            try await origin.waitForAnswers(count: before + asked)
            try await node.waitForFills()
        }
        var problems: [String] = []
        let seen = Array(origin.requests.dropFirst(before))
        if seen.count != asked {
            problems.append(
                "the origin was asked \(seen.count) times, expected \(asked): \(seen.map(\.head))")
        }
        if let expected = step.originRequest {
            if let request = seen.last {
                problems += check(request, expected)
            } else {
                problems.append("the origin was not asked")
            }
        }
        problems += check(response, step.expect)
        problems += prediction?.problems(with: response) ?? []
        if !problems.isEmpty { problems.append("the answer was: \(response)") }
        return problems
    }

    /// Sets up the origin; answers how many requests it will get.
    private func prepare(_ step: ConformanceCase.Step, _ origin: ScriptedServer) throws -> Int {
        if origin.isRefusing { try origin.acceptConnections() }
        var scripts: [[ScriptStep]] = []
        for answer in step.origin?.all ?? [] {
            switch answer {
            case .down: origin.refuseConnections()
            case .reset: scripts.append([.reset])
            case .close: scripts.append([.close])
            case .response(let response): scripts.append(script(response))
            }
        }
        answers.change { $0 = scripts }
        return scripts.count
    }

    private func script(_ response: ConformanceCase.OriginResponse) -> [ScriptStep] {
        var text = ""
        for interim in response.interims ?? [] {
            text += "HTTP/1.1 \(interim.status) Interim\r\n" + lines(interim.fields) + "\r\n"
        }
        let status = response.status ?? 200
        let body = response.body ?? ""
        text += "HTTP/\(response.version ?? "1.1") \(status) Because\r\n" + lines(response.fields)
        switch response.framing ?? .length {
        case .length:
            let hasOwn = (response.fields ?? []).contains { $0.lowercased().hasPrefix("content-length:") }
            if status != 204, status != 304, !hasOwn { text += "Content-Length: \(body.utf8.count)\r\n" }
            text += "\r\n" + body
            return [.text(text)]
        case .chunked:
            text += "Transfer-Encoding: chunked\r\n\r\n"
            if !body.isEmpty { text += String(body.utf8.count, radix: 16) + "\r\n" + body + "\r\n" }
            return [.text(text + "0\r\n" + lines(response.trailers) + "\r\n")]
        case .close:
            return [.text(text + "\r\n" + body), .close]
        }
    }

    private func lines(_ fields: [String]?) -> String {
        (fields ?? []).map { dates.expand($0) + "\r\n" }.joined()
    }

    private func send(_ request: ConformanceCase.Request?, _ node: TestNode) async throws -> ClientResponse {
        let client = try node.connect()
        defer { client.close() }
        let method = request?.method ?? "GET"
        try await client.send(
            RawClient.request(
                method, request?.target ?? "/r", host: request?.host == false ? nil : "case.test",
                version: request?.version ?? "1.1", (request?.fields ?? []).map { dates.expand($0) },
                body: request?.body))
        return try await client.response(to: method)
    }

    // MARK: Checks

    private func check(
        _ request: RecordedRequest, _ expected: ConformanceCase.OriginRequestExpectation
    ) -> [String] {
        var problems: [String] = []
        if let method = expected.method, method != request.method {
            problems.append("the origin got \(request.method)")
        }
        if let target = expected.target, target != request.target {
            problems.append("the origin got \(request.target)")
        }
        if let body = expected.body, body != request.text {
            problems.append("the origin got the body \(request.text)")
        }
        for (name, matcher) in expected.fields ?? [:] {
            if let problem = matcher.problem(name, request.fields[name], dates.expand) {
                problems.append("to the origin: \(problem)")
            }
        }
        return problems
    }

    private func check(_ response: ClientResponse, _ expected: ConformanceCase.Expectation) -> [String] {
        var problems: [String] = []
        if response.status != expected.status {
            problems.append("the status is \(response.status), expected \(expected.status)")
        }
        if let body = expected.body, body != response.text {
            problems.append("the body is \"\(response.text.prefix(500))\", expected \"\(body)\"")
        }
        for (name, matcher) in expected.fields ?? [:] {
            if let problem = matcher.problem(name, response.fields[name], dates.expand) {
                problems.append(problem)
            }
        }
        for (name, matcher) in expected.trailers ?? [:] {
            if let problem = matcher.problem(name, response.trailers[name], dates.expand) {
                problems.append("trailer: \(problem)")
            }
        }
        if let interims = expected.interims, interims != response.interims.map(\.status) {
            problems.append(
                "the interim responses are \(response.interims.map(\.status)), expected \(interims)")
        }
        if let error = expected.proxyStatus, response.proxyStatus?.contains("error=\(error)") != true {
            problems.append("Proxy-Status is \(response.proxyStatus ?? "absent"), expected \(error)")
        }
        return problems + checkCacheStatus(response, expected.cacheStatus ?? [])
    }

    private func checkCacheStatus(_ response: ClientResponse, _ expected: [String]) -> [String] {
        guard !expected.isEmpty else { return [] }
        let parameters = (response.cacheStatus ?? "").split(separator: ";").map { $0.drop { $0 == " " } }
        guard parameters.first == "rockpool" else {
            return ["Cache-Status is \(response.cacheStatus ?? "absent")"]
        }
        return expected.compactMap { word in
            let isWanted = !word.hasPrefix("!")
            let isThere = parameters.contains { $0 == word.drop { $0 == "!" } }
            return isThere == isWanted
                ? nil : "Cache-Status is \(response.cacheStatus ?? ""), expected \(word)"
        }
    }
}
