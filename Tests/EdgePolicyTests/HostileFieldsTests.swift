import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

/// Random field values, made of the octets that the grammars care about, through everything that reads them.
@Suite struct `Hostile fields` {
    private static let alphabet = Array("\"\\,;=*/-:.?#%&[]@ \tWwqbytes019azAZ".utf8) + [0, 0x7F, 0x80, 0xFF]

    private static func noise(_ generator: inout SeededGenerator) -> [UInt8] {
        (0..<Int.random(in: 0...24, using: &generator)).map { _ in
            alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `random octets break no rule`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let names = FieldName.allCases.filter { $0 != .other }
        for _ in 0..<400 {
            var left = FieldSection()
            var right = FieldSection()
            for name in names {
                left.append(name, Self.noise(&generator))
                if Bool.random(using: &generator) { right.append(name, Self.noise(&generator)) }
            }
            checkRanges(left, seed)
            checkKeys(left, right, seed)
            checkSections(left, right, seed)
        }
    }

    private func checkRanges(_ fields: FieldSection, _ seed: UInt64) {
        let value = Array("bytes=".utf8) + (fields.first(.range) ?? [])
        for length in [Int64(0), 1, 100, .max] {
            guard case .ranges(let specs) = RangeSpecifier.parse(value[...]),
                case .ranges(let ranges) = ByteRangeSelection.resolve(specs, length: length)
            else { continue }
            let isInside = ranges.allSatisfy { !$0.isEmpty && $0.lowerBound >= 0 && $0.upperBound <= length }
            #expect(isInside && ranges.count <= 128, "seed \(seed)")
        }
    }

    private func checkKeys(_ left: FieldSection, _ right: FieldSection, _ seed: UInt64) {
        _ = VaryRule.parse(left)
        let vary = FieldSection([("Vary", "Accept-Encoding, Accept-Language, Cookie, Accept")])
        guard let rule = VaryRule.parse(vary) else { return }
        let key = SecondaryKey(rule: rule, request: left, response: right)
        #expect(key.matches(left), "a request selects its own response; seed \(seed)")
        // Normalising twice changes nothing.
        let again = SecondaryKey(rule: rule, request: key.selectingFields, response: right)
        #expect(key == again, "seed \(seed)")
        let other = SecondaryKey(rule: rule, request: right)
        #expect(other.matches(right), "seed \(seed)")
        var bytes: [UInt8] = []
        let query = left.first(.accept) ?? []
        CacheKey.append(
            scheme: "http", authority: left.first(.host) ?? [], path: [47], query: query,
            rule: .drop(["a*"], sort: true), into: &bytes)
        #expect(bytes.starts(with: "http://".utf8))
    }

    private func checkSections(_ left: FieldSection, _ right: FieldSection, _ seed: UInt64) {
        let fresh = Validation.freshen(stored: left, from: right)
        let connections = fresh.lines.count { $0.name == .connection }
        #expect(connections == 1, "only the stored one")
        _ = Validation.notModifiedSelects(stored: left, notModified: right)
        _ = Validation.headUpdates(stored: left, storedLength: 1, head: right, status: 200)
        #expect(!Validation.conditionalFields(for: left).contains { $0.1.elementsEqual([42]) })
        _ = Preconditions.evaluate(request: left, method: .get, status: 200, stored: right)
        _ = Preconditions.ifRangeHolds(request: left, stored: right)
        for tag in SurrogateKey.tags(left) { #expect(!tag.isEmpty) }
        let found = Invalidation.targets(
            requestMethod: .post, scheme: "http", authority: Array("h".utf8)[...], path: [47], query: nil,
            status: 200, response: left)
        #expect(
            found.allSatisfy { $0.authority.elementsEqual("h".utf8) && $0.path.first == 47 }, "seed \(seed)")
        let stored = ResponseFields.forStorage(left, status: 200, receivedAt: WallTime(seconds: 1))
        #expect(stored.lines.allSatisfy { !HopByHop.isHopByHop($0.name) && $0.name != .age }, "seed \(seed)")
    }
}
