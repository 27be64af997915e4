import EdgeHTTP

extension PreparedEdits {
    /// What is done to a request for a path that can be read as several. A field that all readings treat
    /// alike is treated so; any other is removed, also one that a reading would set: what an operator writes
    /// there may be an authority that only some paths have, and the client must not fill the gap with its
    /// own.
    static func strictestRequest(_ readings: [PreparedEdits]) -> PreparedEdits {
        strictest(readings) { _, decisions in
            .remove(decisions.lazy.compactMap(\.?.name).first ?? [])
        }
    }

    /// What is done to a response. A field that is set, or removed, in some readings only, is so: such fields
    /// restrain what clients do with a response (CSP, HSTS, X-Frame-Options), or hide something. Those that
    /// permit are set, and those that restrain removed, only where all readings agree.
    static func strictestResponse(_ readings: [PreparedEdits]) -> PreparedEdits {
        let edits = strictest(readings) { name, decisions in
            if !permits(name), let set = decisions.lazy.compactMap({ $0 }).first(where: \.sets) { return set }
            if decisions.contains(where: { $0?.sets == true }) || restrains(name) { return nil }
            return decisions.lazy.compactMap { $0 }.first
        }
        return PreparedEdits(
            set: edits.set, remove: edits.remove,
            clientCacheControl: strictestControl(readings.map(\.clientCacheControl)))
    }

    /// `no-store` and its like forbid; any other value permits, and the origin's stays.
    private static func strictestControl(_ values: [[UInt8]?]) -> [UInt8]? {
        guard let first = values.first, !values.allSatisfy({ $0 == first }) else {
            return values.first ?? nil
        }
        return values.lazy.compactMap { $0 }.first { value in
            let directives = Directives([value[...]])
            return ["no-store", "no-cache", "private"].contains { directives.restricts($0) }
                || directives.delta("max-age") == .seconds(0)
        }
    }

    private enum Decision: Equatable {
        case set([UInt8], [UInt8])
        case remove([UInt8])

        var name: [UInt8] {
            switch self {
            case .set(let name, _), .remove(let name): name
            }
        }

        var sets: Bool {
            if case .set = self { return true }
            return false
        }

        /// Of decisions about one name, in whatever case it is written.
        static func == (left: Decision, right: Decision) -> Bool {
            switch (left, right) {
            case (.set(_, let one), .set(_, let other)): one == other
            case (.remove, .remove): true
            case (.set, .remove), (.remove, .set): false
            }
        }
    }

    private static func strictest(
        _ readings: [PreparedEdits], where differing: ([UInt8], [Decision?]) -> Decision?
    ) -> PreparedEdits {
        var names: [[UInt8]] = []
        let tables = readings.map { edits in
            var table: [[UInt8]: Decision] = [:]
            for decision in edits.remove.map(Decision.remove) + edits.set.map(Decision.set) {
                let name = decision.name.map(Octet.lower)
                table[name] = decision
                if !names.contains(name) { names.append(name) }
            }
            return table
        }
        var set: [(name: [UInt8], value: [UInt8])] = []
        var remove: [[UInt8]] = []
        for name in names {
            let decisions = tables.map { $0[name] }
            let isAgreed = decisions.dropFirst().allSatisfy { $0 == decisions[0] }
            switch isAgreed ? decisions[0] : differing(name, decisions) {
            case .set(let name, let value): set.append((name, value))
            case .remove(let name): remove.append(name)
            case nil: break
            }
        }
        return PreparedEdits(set: set, remove: remove, clientCacheControl: nil)
    }

    /// Response fields that let clients do more. The name is in lower case.
    private static func permits(_ name: [UInt8]) -> Bool {
        name.starts(with: "access-control-".utf8)
            || ["timing-allow-origin", "service-worker-allowed", "cache-control", "expires", "set-cookie"]
                .contains { name.elementsEqual($0.utf8) }
    }

    /// Response fields that let clients do less.
    private static func restrains(_ name: [UInt8]) -> Bool {
        name.starts(with: "cross-origin-".utf8)
            || [
                "content-security-policy", "strict-transport-security", "x-frame-options",
                "x-content-type-options", "permissions-policy", "referrer-policy", "x-robots-tag",
                "cache-control", "vary", "content-disposition",
            ].contains { name.elementsEqual($0.utf8) }
    }
}
