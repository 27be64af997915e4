import EdgeHTTP
import NIOCore
import Synchronization

/// The caller's end of a pull; any thread may use it.
public final class PullHandle: Sendable {
    /// Storage of upload bytes that may wait before ``send(_:)`` asks for patience.
    static let maxUploadBytes = 256 * 1024

    struct Upload {
        var pending = UploadQueue()
        var isFinished = false
        var isAborted = false
        /// The sender was told to wait.
        var isBlocked = false
        /// libcurl was told that nothing is there yet.
        var isStarved = false
        /// libcurl has had bytes of it: they cannot be sent to another server.
        var isBegun = false
    }

    /// Whether the upload has not been read from.
    var isUntouched: Bool { upload.withLock { !$0.isBegun } }

    /// Whether the origin waits for the client: more is to come, and nothing is there.
    var waitsForClient: Bool { upload.withLock { $0.isStarved && !$0.isFinished } }

    let upload = Mutex(Upload())
    /// Callbacks on the pull thread find their loop here.
    let loop: PullLoop
    let number: UInt64

    init(loop: PullLoop, number: UInt64) {
        self.loop = loop
        self.number = number
    }

    /// Gives the pull up; its sink hears ``PullSink/pullFailed(_:)``.
    public func cancel() { loop.enqueue(.cancel(number)) }

    /// Goes on after ``PullSink/pull(body:)`` returned false.
    public func resume() { loop.enqueue(.resume(number)) }

    /// Appends upload bytes; false: wait for ``PullSink/pullUploadWritable()``.
    public func send(_ bytes: ByteBuffer) -> Bool {
        guard bytes.readableBytes > 0 else { return true }
        let (hasRoom, wakes) = upload.withLock { upload in
            guard !upload.isAborted else { return (true, false) }
            upload.pending.append(bytes)
            upload.isBlocked = upload.pending.storageBytes > Self.maxUploadBytes
            defer { upload.isStarved = false }
            return (!upload.isBlocked, upload.isStarved)
        }
        if wakes { loop.enqueue(.resumeUpload(number)) }
        return hasRoom
    }

    /// The upload is whole. Trailers go no further: an intermediary may drop them (RFC 9110 6.5.1).
    public func finishUpload(trailers: FieldSection?) {
        let wakes = upload.withLock { upload in
            upload.isFinished = true
            defer { upload.isStarved = false }
            return upload.isStarved
        }
        if wakes { loop.enqueue(.resumeUpload(number)) }
    }

    /// The client went away in the middle of its upload: the origin must not take what it got for the whole.
    public func abortUpload() {
        upload.withLock { upload in
            upload.isAborted = true
            upload.pending.removeAll()
        }
        loop.enqueue(.cancel(number))
    }

    enum Take {
        case bytes(Int)
        case starved
        case finished
        case aborted
    }

    /// Moves upload bytes into libcurl's buffer; also says whether the sender may go on.
    func take(into buffer: UnsafeMutableRawBufferPointer) -> (Take, unblocks: Bool) {
        upload.withLock { upload in
            if upload.isAborted { return (.aborted, false) }
            guard !upload.pending.isEmpty else {
                if upload.isFinished { return (.finished, false) }
                upload.isStarved = true
                return (.starved, false)
            }
            let count = upload.pending.take(into: buffer)
            upload.isBegun = true
            let unblocks = upload.isBlocked && upload.pending.storageBytes <= Self.maxUploadBytes / 2
            if unblocks { upload.isBlocked = false }
            return (.bytes(count), unblocks)
        }
    }
}
