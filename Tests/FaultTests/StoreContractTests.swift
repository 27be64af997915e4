import EdgePolicy
import EdgePrimitives
import NIOCore
import Synchronization
import Testing

@testable import EdgeStore

/// What every ``StoreTier`` keeps to. Tiers may decline what they are offered and may write later; none of
/// these tests demands that something is found at once.
@Suite struct StoreContractTests {
    enum Kind: CaseIterable, Sendable {
        case memory, simulatedDisk, disk
    }

    /// A tier, and how to wait until it has done what it was asked for.
    private struct Subject {
        let tier: any StoreTier
        let disk: DiskTier?
        private let folder: Folder?

        init(_ kind: Kind, budgetBytes: Int64 = 16 << 20) throws {
            let volume: any DiskVolume
            switch kind {
            case .memory:
                tier = MemoryTier(budgetBytes: budgetBytes, maxVariants: 8)
                (disk, folder) = (nil, nil)
                return
            case .simulatedDisk:
                volume = SimulatedVolume(seed: 3)
                folder = nil
            case .disk:
                let made = try Folder()
                folder = made
                volume = try POSIXVolume(directory: made.path)
            }
            let made = try DiskTier(volume: volume, budgetBytes: budgetBytes, backlogBytes: 64 << 20)
            (tier, disk) = (made, made)
        }

        func settle() { disk?.flush() }

        func end() {
            disk?.shutdown()
            folder?.remove()
        }

        func find(_ slot: Slot) -> [StoredResponse] {
            let gate = WorkerGate()
            let found = Mutex<[StoredResponse]>([])
            tier.find(slot.digest) { responses in
                found.withLock { $0 = responses }
                gate.open()
            }
            gate.wait()
            return found.withLock { $0 }
        }

        /// The numbers of what is found under the key, in order.
        func numbers(_ slot: Slot) -> [Int] { find(slot).compactMap { DiskContent.number($0) }.sorted() }
    }

    private static func response(_ number: Int, _ slot: Slot, length: Int = 500) -> StoredResponse {
        let version = version(number, slot, length: length)
        let body = StoredBody.memory(DiskContent.buffer(version.content, length))
        let id = Digest128(high: UInt64(number), low: UInt64(slot.key))
        return version.response(body, bodyID: id)
    }

    private static func version(_ number: Int, _ slot: Slot, length: Int) -> Version {
        Version(
            number: number, slot: slot, content: UInt64(number), length: length, hasValidator: true,
            isPartial: false, metadata: StoredMetadata(status: 200, responseTime: WallTime(seconds: 9)),
            tags: [Array("front".utf8)])
    }

    private static let plain = Slot(key: 1, language: 0)
    private static let english = Slot(key: 3, language: 1)
    private static let french = Slot(key: 3, language: 2)

    // MARK: One thread

    @Test(arguments: Kind.allCases) func whatIsOfferedIsFoundAsItWas(_ kind: Kind) throws {
        let subject = try Subject(kind)
        defer { subject.end() }
        for (number, length) in [0, 1, 16_384, 16_385, 300_000].enumerated() {
            let slot = Slot(key: 100 + number, language: 0)
            subject.tier.offer(Self.response(number, slot, length: length))
            subject.settle()
            let found = try #require(subject.find(slot).first)
            let version = Self.version(number, slot, length: length)
            #expect(version.difference(found) == nil)
            let outcome = BodyReader.compare(found.body, with: DiskContent.bytes(UInt64(number), length))
            #expect(outcome.wrong == nil && outcome.readBytes == length)
        }
        #expect(subject.find(Slot(key: 999, language: 0)).isEmpty)
    }

    @Test(arguments: Kind.allCases) func theNewestTakesThePlaceOfTheOld(_ kind: Kind) throws {
        let subject = try Subject(kind)
        defer { subject.end() }
        for number in 1..<200 {
            subject.tier.offer(Self.response(number, Self.plain))
            let found = subject.numbers(Self.plain)
            #expect(found.isEmpty || found == [number])
        }
        subject.settle()
        #expect(subject.numbers(Self.plain) == [199])
    }

    @Test(arguments: Kind.allCases) func variantsStayApart(_ kind: Kind) throws {
        let subject = try Subject(kind)
        defer { subject.end() }
        subject.tier.offer(Self.response(1, Self.english))
        subject.tier.offer(Self.response(2, Self.french))
        subject.settle()
        #expect(subject.numbers(Self.english) == [1, 2])
        subject.tier.offer(Self.response(3, Self.english))
        subject.settle()
        #expect(subject.numbers(Self.english) == [2, 3])
        subject.tier.remove(Self.response(3, Self.english))
        // A memory tier removes the stored response itself and no other that is like it.
        for found in subject.find(Self.english) where DiskContent.number(found) == 3 {
            subject.tier.remove(found)
        }
        #expect(subject.numbers(Self.english) == [2])
        subject.settle()
        #expect(subject.numbers(Self.english) == [2])
        subject.tier.remove(Self.english.digest)
        #expect(subject.numbers(Self.english).isEmpty)
        subject.settle()
        #expect(subject.numbers(Self.english).isEmpty)
    }

    /// The removal of one variant leaves those alone that wait to be written.
    @Test(arguments: Kind.allCases) func removingAVariantLeavesTheOthersThatWait(_ kind: Kind) throws {
        let subject = try Subject(kind)
        defer { subject.end() }
        for number in 0..<50 {
            let english = Self.response(2 * number, Self.english)
            subject.tier.offer(english)
            subject.tier.offer(Self.response(2 * number + 1, Self.french))
            subject.tier.remove(english)
            subject.settle()
            #expect(subject.numbers(Self.english) == [2 * number + 1])
        }
    }

    @Test(arguments: Kind.allCases) func whatIsRemovedIsNotFoundWhileItWaits(_ kind: Kind) throws {
        let subject = try Subject(kind)
        defer { subject.end() }
        for number in 0..<300 {
            let slot = Slot(key: number % 7, language: 0)
            subject.tier.offer(Self.response(number, slot, length: number % 3 == 0 ? 40_000 : 200))
            subject.tier.remove(slot.digest)
            #expect(subject.find(slot).isEmpty)
            if number % 10 == 0 { subject.settle() }
            #expect(subject.find(slot).isEmpty)
        }
        subject.settle()
        for key in 0..<7 { #expect(subject.find(Slot(key: key, language: 0)).isEmpty) }
    }

    @Test(arguments: Kind.allCases) func whatIsOfferedAfterARemovalIsFound(_ kind: Kind) throws {
        let subject = try Subject(kind)
        defer { subject.end() }
        for number in 0..<60 {
            subject.tier.offer(Self.response(2 * number, Self.plain))
            if number % 2 == 0 { subject.tier.remove(Self.plain.digest) } else { subject.tier.removeAll() }
            subject.tier.offer(Self.response(2 * number + 1, Self.plain))
            subject.settle()
            #expect(subject.numbers(Self.plain) == [2 * number + 1])
        }
    }

    @Test(arguments: Kind.allCases) func removeAllLeavesNothing(_ kind: Kind) throws {
        let subject = try Subject(kind)
        defer { subject.end() }
        let slots = (0..<40).map { Slot(key: $0, language: $0 % 3) }
        for (number, slot) in slots.enumerated() { subject.tier.offer(Self.response(number, slot)) }
        subject.tier.removeAll()
        for slot in slots { #expect(subject.find(slot).isEmpty) }
        subject.settle()
        for slot in slots { #expect(subject.find(slot).isEmpty) }
    }

    // MARK: Many threads

    /// Eight threads: each has keys of its own, of which it knows what may be found, and all share some.
    /// Enough comes in that things leave all the time.
    @Test(arguments: Kind.allCases) func eightThreadsFindNothingThatIsGone(_ kind: Kind) throws {
        let subject = try Subject(kind, budgetBytes: 4 << 20)
        defer { subject.end() }
        let problems = Mutex<[String]>([])
        let threads = WorkerThreads(count: 8)
        for thread in 0..<8 {
            threads.submit {
                let found = Self.hammer(subject, thread)
                problems.withLock { $0 += found }
            }
        }
        threads.stop()
        #expect(problems.withLock { $0 } == [])
        subject.settle()
        (subject.tier as? MemoryTier)?.checkInvariants()
        subject.tier.removeAll()
        for key in 0..<200 { #expect(subject.find(Slot(key: key, language: 0)).isEmpty) }
    }

    private static func hammer(_ subject: Subject, _ thread: Int) -> [String] {
        var generator = SeededGenerator(seed: UInt64(thread))
        var problems: [String] = []
        var newest: [Slot: Int] = [:]
        for round in 0..<400 {
            let isShared = Int.random(in: 0..<4, using: &generator) == 0
            let key = Int.random(in: 0..<6, using: &generator) + (isShared ? 100 : thread * 10)
            let slot = Slot(key: key, language: 0)
            let number = (round * 8 + thread) * 128 + key
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4:
                let length = Int.random(in: 0..<4, using: &generator) == 0 ? 30_000 : 2_000
                subject.tier.offer(response(number, slot, length: length))
                newest[slot] = number
            case 4..<6:
                subject.tier.remove(slot.digest)
                newest[slot] = nil
            default: break
            }
            for found in subject.find(slot) {
                let number = DiskContent.number(found) ?? -1
                if number % 128 != key { problems.append("key \(key): that of key \(number % 128)") }
                if !isShared, newest[slot] != number {
                    problems.append("key \(key): \(number) instead of \(newest[slot] ?? -1)")
                }
                let expected = DiskContent.bytes(UInt64(number), found.body.count)
                if let wrong = BodyReader.compare(found.body, with: expected).wrong {
                    problems.append("key \(key): \(wrong)")
                }
            }
        }
        return problems
    }
}
