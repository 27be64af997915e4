import CCurl
import Foundation

/// Fetches URLs through a node, a bounded number at a time, on one libcurl multi handle.
final class WarmLoop {
    /// Refused connections in a row, after answers, that mean that the node is gone.
    private static let refusalsOfGone = 10
    private static let waitMilliseconds: Int32 = 200

    private let multi = curl_multi_init()
    private let urls: [WarmURL]
    private var next = 0
    private let node: String
    private let fields: [String]
    private let concurrency: Int
    /// What is under way, by handle.
    private var transfers: [UnsafeMutableRawPointer: WarmTransfer] = [:]
    private var refusals = 0
    private var hasAnswer = false
    private(set) var report: WarmReport
    private var progress: WarmProgress
    /// Whether the node could not be reached.
    private(set) var isUnreachable = false

    /// - Parameters:
    ///   - list: what to fetch.
    ///   - node: the data listener, `http://127.0.0.1:8080`.
    ///   - fields: request fields, each `Name: value`.
    ///   - concurrency: requests at a time.
    ///   - look: how progress is shown.
    init(list: WarmList, node: String, fields: [String], concurrency: Int, look: WarmProgress.Look) {
        urls = list.urls
        self.node = node
        self.fields = fields
        self.concurrency = concurrency
        report = WarmReport(node: node, list: list)
        progress = WarmProgress(look: look, now: Self.now())
        _ = rockpool_multi_long(multi, CURLMOPT_MAXCONNECTS, concurrency)
    }

    deinit {
        for easy in transfers.keys { curl_multi_remove_handle(multi, easy) }
        curl_multi_cleanup(multi)
    }

    /// Runs to the end of the list, to a signal, or until the node is gone.
    func run() -> WarmReport {
        SignalPipe.catching([SIGINT, SIGTERM, SIGHUP])
        let startedAt = Self.now()
        progress.update(report, now: startedAt)
        start()
        while !transfers.isEmpty {
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            collect()
            progress.update(report, now: Self.now())
            if report.brokenOff != nil { break }
            start()
            guard !transfers.isEmpty else { break }
            var extra = [curl_waitfd(fd: SignalPipe.descriptor, events: Int16(CURL_WAIT_POLLIN), revents: 0)]
            curl_multi_poll(multi, &extra, 1, Self.waitMilliseconds, nil)
            if !SignalPipe.take().isEmpty {
                report.brokenOff = "interrupted"
                break
            }
        }
        let now = Self.now()
        report.seconds = now - startedAt
        progress.finish(report, now: now)
        return report
    }

    private func start() {
        while next < urls.count, transfers.count < concurrency,
            let transfer = WarmTransfer(urls[next], node: node, fields: fields)
        {
            next += 1
            transfers[transfer.easy] = transfer
            curl_multi_add_handle(multi, transfer.easy)
        }
    }

    private func collect() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
                let transfer = transfers.removeValue(forKey: easy)
            else { continue }
            let result = rockpool_message_result(message)
            curl_multi_remove_handle(multi, easy)
            // Where nobody is at home, the other URLs need not be tried: they stay untried, not failed.
            if isHopeless(result) {
                isUnreachable = true
                report.brokenOff =
                    "\(report.node) cannot be reached: \(String(cString: curl_easy_strerror(result)))"
                return
            }
            report.add(transfer.outcome(result), url: transfer.url.text, bytes: transfer.bodyBytes)
        }
    }

    private func isHopeless(_ result: CURLcode) -> Bool {
        switch result {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST:
            refusals += 1
            return !hasAnswer || refusals >= Self.refusalsOfGone
        case CURLE_OPERATION_TIMEDOUT where !hasAnswer: return true
        default:
            hasAnswer = true
            refusals = 0
            return false
        }
    }

    private static func now() -> Double { ProcessInfo.processInfo.systemUptime }
}
