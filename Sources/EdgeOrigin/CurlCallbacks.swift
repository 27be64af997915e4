import CCurl

/// The C functions that libcurl calls; each finds its object in the user pointer and hands on.
enum CurlCallbacks {
    static let header: rockpool_data_callback = { bytes, size, count, user in
        guard let bytes, let user else { return 0 }
        let transfer = Unmanaged<PullTransfer>.fromOpaque(user).takeUnretainedValue()
        let total = size * count
        let taken = bytes.withMemoryRebound(to: UInt8.self, capacity: total) {
            transfer.read(line: UnsafeBufferPointer(start: $0, count: total))
        }
        return taken ? total : 0
    }

    static let write: rockpool_data_callback = { bytes, size, count, user in
        guard let bytes, let user else { return 0 }
        let transfer = Unmanaged<PullTransfer>.fromOpaque(user).takeUnretainedValue()
        let total = size * count
        let piece = UnsafeRawBufferPointer(start: bytes, count: total)
        // Nothing of a body comes before its head is whole, and no line of the head after that; trailers go
        // to the header callback alone.
        guard transfer.hasHead else { return transfer.admits(headPiece: piece) ? total : 0 }
        return transfer.read(body: piece) ? total : Int(CURL_WRITEFUNC_PAUSE)
    }

    static let read: rockpool_data_callback = { buffer, size, count, user in
        guard let buffer, let user else { return Int(CURL_READFUNC_ABORT) }
        let transfer = Unmanaged<PullTransfer>.fromOpaque(user).takeUnretainedValue()
        let (take, unblocks) = transfer.handle.take(
            into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
        if unblocks { transfer.sink.pullUploadWritable() }
        switch take {
        case .bytes(let taken):
            transfer.lastProgress = transfer.handle.loop.awokenAt
            return taken
        case .starved: return Int(CURL_READFUNC_PAUSE)
        case .finished: return 0
        case .aborted: return Int(CURL_READFUNC_ABORT)
        }
    }

    /// Runs before a request goes out, on a reused connection too: one with unread bytes is never used again, because
    /// libcurl would take them for the answer to this request; nor is one to an address that left the server's name.
    static let prereq: rockpool_prereq_callback = { user, address, _, _, localPort in
        guard let user else { return CURL_PREREQFUNC_ABORT }
        let transfer = Unmanaged<PullTransfer>.fromOpaque(user).takeUnretainedValue()
        let loop = transfer.handle.loop
        let isClean = !loop.isUnclean(localPort: Int(localPort))
        let isThere = loop.mayGoOut(transfer, address: address, localPort: Int(localPort))
        if isClean, isThere { return CURL_PREREQFUNC_OK }
        transfer.socketWasUnclean = true
        return CURL_PREREQFUNC_ABORT
    }

    static let open: rockpool_open_callback = { user, _, address in
        guard let user, let address else { return -1 }
        let transfer = Unmanaged<PullTransfer>.fromOpaque(user).takeUnretainedValue()
        let descriptor = rockpool_open_socket(address)
        if descriptor >= 0 {
            if let multi = transfer.multi { multi.loop.socketOpened(descriptor, multi) }
        } else {
            transfer.multi?.loop.socketFailed()
        }
        return descriptor
    }

    static let close: rockpool_close_callback = { user, descriptor in
        if let user { Unmanaged<PullLoop>.fromOpaque(user).takeUnretainedValue().socketClosed(descriptor) }
        return CCurl.close(descriptor)
    }

    static let socket: rockpool_socket_callback = { _, descriptor, what, user, _ in
        guard let user else { return 0 }
        let multi = Unmanaged<OriginMulti>.fromOpaque(user).takeUnretainedValue()
        multi.loop.watch(descriptor, what, multi)
        return 0
    }

    static let timer: rockpool_timer_callback = { _, milliseconds, user in
        guard let user else { return 0 }
        Unmanaged<OriginMulti>.fromOpaque(user).takeUnretainedValue().setTimer(milliseconds)
        return 0
    }
}
