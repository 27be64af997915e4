import CCurl
import Foundation

/// Asks for `/status` without ever standing still: waiting ends early when a key is pressed or a signal comes.
final class StatusPoller {
    enum Event {
        case answer(Data)
        case failure(ClientFailure)
        /// The terminal has something to read.
        case input
        case signals([CInt])
    }

    private let multi = curl_multi_init()
    private var transfer: AdminTransfer?

    var isAsking: Bool { transfer != nil }

    deinit {
        if let transfer { curl_multi_remove_handle(multi, transfer.easy) }
        curl_multi_cleanup(multi)
    }

    /// Asks, unless a question is still open.
    func ask(_ client: AdminClient) throws {
        guard transfer == nil else { return }
        let transfer = try client.transfer("/status")
        curl_multi_add_handle(multi, transfer.easy)
        self.transfer = transfer
    }

    /// What happened until the time, in seconds, is over; returns as soon as anything did.
    func wait(seconds: Double, keys: CInt?) -> [Event] {
        var running: Int32 = 0
        curl_multi_perform(multi, &running)
        var events = finished()
        var extra = [curl_waitfd(fd: SignalPipe.descriptor, events: Int16(CURL_WAIT_POLLIN), revents: 0)]
        if let keys { extra.append(curl_waitfd(fd: keys, events: Int16(CURL_WAIT_POLLIN), revents: 0)) }
        let milliseconds = events.isEmpty ? max(0, seconds * 1_000).rounded(.up) : 0
        curl_multi_poll(multi, &extra, UInt32(extra.count), Int32(milliseconds), nil)
        curl_multi_perform(multi, &running)
        events += finished()
        let signals = SignalPipe.take()
        if !signals.isEmpty { events.append(.signals(signals)) }
        if extra.count > 1, extra[1].revents != 0 { events.append(.input) }
        return events
    }

    private func finished() -> [Event] {
        var left: Int32 = 0
        var events: [Event] = []
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let transfer else { continue }
            let result = rockpool_message_result(message)
            curl_multi_remove_handle(multi, transfer.easy)
            self.transfer = nil
            do {
                events.append(.answer(try transfer.outcome(result)))
            } catch {
                events.append(.failure(error))
            }
        }
        return events
    }
}
