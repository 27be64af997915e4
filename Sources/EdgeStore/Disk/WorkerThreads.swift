import CEdgeLinux
import Glibc
import Synchronization

/// A few threads that do what would block an event loop, in the order in which it was asked for.
final class WorkerThreads: Sendable {
    typealias Job = @Sendable () -> Void

    private struct State {
        var jobs: [Job] = []
        var first = 0
        var isStopped = false
        var threads: [pthread_t] = []
    }

    private let state = Mutex(State())
    /// Counts the jobs that no thread has taken. A semaphore is for many threads, which its type does not say.
    private nonisolated(unsafe) let pending: UnsafeMutablePointer<sem_t>

    init(count: Int) {
        pending = .allocate(capacity: 1)
        sem_init(pending, 0, 0)
        for _ in 0..<count { start() }
    }

    deinit {
        sem_destroy(pending)
        pending.deallocate()
    }

    private func start() {
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<WorkerThreads>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(status == 0, "no thread for disk I/O")
        let started = thread
        state.withLock { $0.threads.append(started) }
    }

    /// Has `job` done by one of the threads; false after ``stop()``.
    @discardableResult
    func submit(_ job: @escaping Job) -> Bool {
        let isTaken = state.withLock { state in
            if state.isStopped { return false }
            state.jobs.append(job)
            return true
        }
        if isTaken { sem_post(pending) }
        return isTaken
    }

    /// Has the calling thread, one of these, wait for a while, or until there is another job to take.
    func pause(milliseconds: Int) {
        // The job is still to be taken.
        if edge_semaphore_wait(pending, CInt(milliseconds)) == 0 { sem_post(pending) }
    }

    /// Does what was submitted, then ends the threads.
    func stop() {
        let threads = state.withLock { state in
            defer { state.threads = [] }
            state.isStopped = true
            return state.threads
        }
        for _ in threads { sem_post(pending) }
        for thread in threads { pthread_join(thread, nil) }
    }

    private func run() {
        while true {
            while sem_wait(pending) != 0 {}
            guard let job = take() else { return }
            job()
        }
    }

    /// The next job; nil when there is none and no more will come.
    private func take() -> Job? {
        state.withLock { state in
            guard state.first < state.jobs.count else { return nil }
            let job = state.jobs[state.first]
            state.first += 1
            if state.first == state.jobs.count || state.first > 1024 {
                state.jobs.removeFirst(state.first)
                state.first = 0
            }
            return job
        }
    }
}

/// Something that one thread waits for and another lets happen, once.
final class WorkerGate: Sendable {
    private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func open() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 {} }
}
