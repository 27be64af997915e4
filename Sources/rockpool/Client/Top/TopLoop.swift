import ArgumentParser
import Foundation

/// `rockpool top` at work: a question each second, and what is known of the node shown after each answer.
final class TopLoop {
    enum Output {
        /// The whole terminal; keys from this descriptor.
        case screen(TerminalScreen, keys: CInt)
        case lines
        case json
    }

    private static let intervalSeconds = 1.0

    private let options: AdminOptions
    private let output: Output
    /// Lines to print before the end; nil: until told to end.
    private let count: Int?
    private var client: AdminClient
    private let poller = StatusPoller()
    private var view: TopView
    private var printed = 0
    private var isEnding = false
    private var failure: ClientFailure?

    init(options: AdminOptions, output: Output, count: Int?) throws {
        self.options = options
        self.output = output
        self.count = count
        client = try options.client()
        view = TopView(address: client.base)
    }

    /// Runs until a key, a signal or the count ends it.
    func run() throws {
        SignalPipe.catching([SIGINT, SIGTERM, SIGHUP, SIGWINCH])
        if case .screen(let screen, _) = output {
            SignalPipe.catching([SIGTSTP, SIGCONT])
            screen.enter()
        }
        try loop()
        if case .screen(let screen, _) = output { screen.leave() }
        guard let failure else { return }
        throw failure
    }

    private func loop() throws {
        var nextAt = Self.now()
        var keys: CInt?
        if case .screen(_, let descriptor) = output { keys = descriptor }
        draw()
        while !isEnding {
            if Self.now() >= nextAt, !poller.isAsking {
                try poller.ask(client)
                nextAt = max(nextAt + Self.intervalSeconds, Self.now())
            }
            let wait = poller.isAsking ? Self.intervalSeconds : nextAt - Self.now()
            for event in poller.wait(seconds: wait, keys: keys) where !isEnding { try take(event) }
        }
    }

    private func take(_ event: StatusPoller.Event) throws {
        switch event {
        case .answer(let body):
            do {
                view.answered(try JSONDecoder().decode(NodeStatus.self, from: body), now: Self.now())
            } catch {
                view.unanswered("what answers there is no node's /status", now: Self.now())
            }
            failure = nil
            show(body)
        case .failure(let problem):
            if case .unauthorized = problem {
                // A node that started anew may have a new token.
                let before = client.token
                client = try options.client()
                guard client.token != before else {
                    failure = problem
                    isEnding = true
                    return
                }
            }
            view.unanswered("\(problem)", now: Self.now())
            failure = problem
            show(nil)
        case .input: readKeys()
        case .signals(let signals):
            for number in signals { take(signal: number) }
        }
    }

    private func take(signal number: CInt) {
        switch number {
        case SIGWINCH: draw()
        case SIGTSTP:
            guard case .screen(let screen, _) = output else { return }
            screen.leave()
            kill(getpid(), SIGSTOP)
        case SIGCONT:
            guard case .screen(let screen, _) = output else { return }
            screen.enterAgain()
            draw()
        default: end()
        }
    }

    private func readKeys() {
        guard case .screen(_, let keys) = output else { return }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(keys, &bytes, bytes.count)
        // Nothing to read and yet readable: the terminal went away.
        guard count > 0 else { return end() }
        // q, Q, and Ctrl-C and Ctrl-D where they come as bytes.
        if bytes.prefix(count).contains(where: { [0x71, 0x51, 3, 4].contains($0) }) { end() }
    }

    private func end() {
        failure = nil
        isEnding = true
    }

    // MARK: Output

    private func draw() {
        guard case .screen(let screen, _) = output else { return }
        let size = Terminal.size(1)
        let environment = ProcessInfo.processInfo.environment
        let lines = TopFrame.lines(
            view, width: size.columns, height: size.rows, hasBlocks: Self.hasBlocks(environment))
        if !screen.show(lines, columns: size.columns, colours: environment["NO_COLOR"] == nil) { end() }
    }

    private func show(_ body: Data?) {
        switch output {
        case .screen:
            draw()
            return
        case .lines:
            if !Terminal.say(view.plainLine(time: Self.time())) { end() }
        case .json:
            if !Terminal.say(json(body)) { end() }
        }
        printed += 1
        if let count, printed >= count { isEnding = true }
    }

    /// One document on one line: the time, the rates, and the node's answer or why there is none.
    private func json(_ body: Data?) -> String {
        var document: [String: Any] = ["time": Self.time()]
        if let body, let status = try? JSONSerialization.jsonObject(with: body) {
            document["status"] = status
        }
        if let trouble = view.trouble { document["error"] = trouble }
        if let rates = view.rates {
            document["seconds"] = rates.seconds
            document["requestsPerSecond"] = rates.byOutcome.merging(["total": rates.total]) { old, _ in old }
            if let share = rates.hitShare { document["hitRatio"] = share }
        }
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        let data =
            (try? JSONSerialization.data(withJSONObject: document, options: options)) ?? Data("{}".utf8)
        return Printable.json(String(decoding: data, as: UTF8.self))
    }

    private static func hasBlocks(_ environment: [String: String]) -> Bool {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"]
        let locale = names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
        return locale.uppercased().contains("UTF-8") || locale.uppercased().contains("UTF8")
    }

    private static func time() -> String {
        Date().formatted(.iso8601)
    }

    private static func now() -> Double { ProcessInfo.processInfo.systemUptime }
}
