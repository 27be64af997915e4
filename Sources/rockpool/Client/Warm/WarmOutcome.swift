/// What came of one URL.
struct WarmOutcome: Equatable {
    enum Kind: String, CaseIterable {
        /// Pulled, and kept.
        case stored
        /// Stored before, whether fresh, stale or just validated.
        case alreadyThere
        /// Answered well, and not kept.
        case notStored
        /// No answer, a broken one, or one that says that there is nothing.
        case failed
    }

    let kind: Kind
    /// Why, in the words of README's table where there is one.
    let reason: String

    init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }

    /// - Parameters:
    ///   - status: the answer's status code.
    ///   - cacheStatus: its Cache-Status lines.
    ///   - proxyStatus: its Proxy-Status lines.
    init(status: Int, cacheStatus: [String], proxyStatus: [String]) {
        let cache = StatusFieldMember.last(named: "rockpool", in: cacheStatus)
        if cache == nil, let proxy = StatusFieldMember.last(named: "rockpool", in: proxyStatus) {
            // The node's own answer: the origin had none.
            let words = [proxy["details"], proxy["error"].map { "(\($0))" }, "status \(status)"].compactMap {
                $0
            }
            self.init(.failed, words.joined(separator: " "))
            return
        }
        guard status < 400 else {
            self.init(.failed, "status \(status)")
            return
        }
        guard let cache else {
            self.init(.failed, "status \(status) without Cache-Status: what answers is no rockpool node")
            return
        }
        let detail = cache["detail"] ?? "no reason given"
        if cache["hit"] != nil || detail == "revalidated" {
            self.init(.alreadyThere, detail)
        } else if cache["stored"] != nil {
            self.init(.stored, detail)
        } else {
            self.init(.notStored, detail)
        }
    }
}
