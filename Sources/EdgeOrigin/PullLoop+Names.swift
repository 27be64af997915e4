import CCurl
import EdgePrimitives
import Glibc
import Synchronization

/// Origins that move: libcurl connects to the addresses that were found here, and connections to those that a name has
/// no longer are not used again.
extension PullLoop {
    /// Follows the names of the configuration.
    func followNames() {
        let hosts = pools.withLock { pools in
            pools.values.flatMap(\.servers).filter { $0.endpoint.address == nil }.map(\.endpoint.host)
        }
        names.follow(Set(hosts))
        // Told again: what libcurl has may be of an origin that had the name before.
        forgetToldNames()
    }

    func lookUpNames(_ now: MonotonicTime) {
        let inTrouble = pools.withLock { pools in
            Set(
                pools.values.flatMap(\.servers).filter { $0.endpoint.address == nil && $0.health.isInTrouble }
                    .map(\.endpoint.host))
        }
        for name in names.takeDue(inTrouble: inTrouble, now: now) {
            resolver.ask(name) { [weak self] addresses in self?.enqueue(.found(addresses, of: name)) }
        }
        if let next = names.nextDue(inTrouble: inTrouble) { upkeep(by: next) }
    }

    func found(_ addresses: [String]?, of name: String) {
        let now = Self.now()
        upkeep(by: now)
        let change = names.found(addresses, of: name)
        if change.isNew {
            pools.withLock { pools in
                for (origin, pool) in pools {
                    for index in pool.servers.indices
                    where pool.servers[index].endpoint.host == name && pool.servers[index].health.isInTrouble
                    {
                        // It may be the move that was missed.
                        pools[origin]?.servers[index].health.checkBy(now)
                    }
                }
            }
        }
        if change.hasDepartures { endDeparted() }
    }

    // MARK: A pull and its server's name

    /// Whether the address of a pull's server is known; otherwise the pull waits for the answer, good or bad.
    func hasAddress(_ transfer: PullTransfer, _ now: MonotonicTime) -> Bool {
        transfer.waitsForName = false
        guard let endpoint = transfer.endpoint, endpoint.address == nil else { return true }
        if case .known = names.standing(endpoint.host, now: now) { return true }
        transfer.waitsForName = true
        transfer.started = now
        namelessTransfers.append(transfer)
        names.want(endpoint.host)
        upkeep(by: now)
        return false
    }

    /// Goes on with the pulls whose servers' names were found, or not found.
    func startNamed() {
        guard !namelessTransfers.isEmpty else { return }
        let now = Self.now()
        var waiting: [PullTransfer] = []
        swap(&waiting, &namelessTransfers)
        for transfer in waiting where transfer.waitsForName && !transfer.isOver {
            guard let host = transfer.endpoint?.host else { continue }
            switch names.standing(host, now: now) {
            case .known: launch(transfer)
            case .unknown: namelessTransfers.append(transfer)
            case .notFound:
                let failure = PullFailure(
                    kind: .nameNotFound, side: .origin, retry: .yes, detail: "the origin's name was not found"
                )
                end(transfer, .failed(failure))
            }
        }
    }

    /// Tells libcurl the addresses of a pull's server, unless it has them. They stay with it until others take their
    /// place, so that a name server which is away takes no origin with it.
    func tellName(_ transfer: PullTransfer, _ easy: UnsafeMutableRawPointer, _ now: MonotonicTime) {
        guard let endpoint = transfer.endpoint, endpoint.address == nil,
            case .known(let addresses, let number) = names.standing(endpoint.host, now: now)
        else { return }
        transfer.nameNumber = number
        guard transfer.multi?.toldNames[endpoint.place] != number else { return }
        let list = addresses.map { $0.contains(":") ? "[\($0)]" : $0 }.joined(separator: ",")
        transfer.nameList = curl_slist_append(nil, "\(endpoint.place):\(list)")
        _ = rockpool_setopt_list(easy, CURLOPT_RESOLVE, transfer.nameList)
    }

    /// libcurl reads the list when a pull begins, and not after.
    func forgetName(_ transfer: PullTransfer, _ easy: UnsafeMutableRawPointer) {
        guard let list = transfer.nameList else { return }
        _ = rockpool_setopt_list(easy, CURLOPT_RESOLVE, nil)
        curl_slist_free_all(list)
        transfer.nameList = nil
    }

    /// A request goes out: on which connection, and whether that may be used.
    func mayGoOut(_ transfer: PullTransfer, address: UnsafePointer<CChar>?, localPort: Int) -> Bool {
        transfer.localPort = localPort
        guard let endpoint = transfer.endpoint, endpoint.address == nil else { return true }
        if transfer.nameList != nil { transfer.multi?.toldNames[endpoint.place] = transfer.nameNumber }
        // A new connection is to where libcurl was told, though that may have changed since.
        guard !transfer.isFresh, let address else { return true }
        return names.current(endpoint.host).contains(String(cString: address))
    }

    /// Connecting failed: the name may have moved, or another of its addresses may do.
    func wasNotReached(_ transfer: PullTransfer) {
        guard let endpoint = transfer.endpoint, endpoint.address == nil else { return }
        names.turn(endpoint.host, number: transfer.nameNumber)
        names.want(endpoint.host)
    }

    // MARK: Kept connections

    /// Ends connections to addresses that no origin has any more, as soon as no request is under way on them. libcurl
    /// finds them closed and lets go of them.
    func endDeparted() {
        let endpoints = pools.withLock { $0.values.flatMap(\.servers).map(\.endpoint) }
        var places: Set<String> = []
        for endpoint in endpoints {
            let addresses = endpoint.address.map { [$0] } ?? names.current(endpoint.host)
            for address in addresses { places.insert("\(address) \(endpoint.port)") }
        }
        let busy = Set(transfers.values.compactMap(\.localPort))
        departedPorts = []
        for (descriptor, port) in sockets.used {
            guard let peer = Self.peer(of: descriptor), !places.contains(peer) else { continue }
            if busy.contains(port) {
                departedPorts.insert(port)
            } else {
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
        }
    }

    /// Address and port at the other end; nil where there is none any more.
    private static func peer(of descriptor: Int32) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let port = rockpool_peer(descriptor, &text, text.count)
        guard port >= 0 else { return nil }
        let address = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return "\(address) \(port)"
    }
}
