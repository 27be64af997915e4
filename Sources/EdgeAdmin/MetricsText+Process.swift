import Foundation

/// What Prometheus' own client libraries say of a process, by the names that they use.
extension MetricsText {
    mutating func process() {
        let pageBytes = sysconf(Int32(_SC_PAGESIZE))
        let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
        if let pages = Self.words("/proc/self/statm").dropFirst().first.flatMap({ Int($0) }) {
            plain(
                "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", pages * pageBytes)
        }
        // Fields 14 and 15 of /proc/self/stat, counted from behind the name, which may hold anything.
        let stat = Self.words("/proc/self/stat", after: ")")
        if stat.count > 12, let user = Double(stat[11]), let system = Double(stat[12]) {
            plain(
                "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.",
                (user + system) / ticksPerSecond)
        }
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count {
            plain("process_open_fds", "gauge", "Number of open file descriptors.", open)
        }
        if let line = Self.lines("/proc/self/limits").first(where: { $0.hasPrefix("Max open files") }),
            let most = line.dropFirst(14).split(separator: " ").first.flatMap({ Int($0) })
        {
            plain("process_max_fds", "gauge", "Maximum number of open file descriptors.", most)
        }
    }

    private static func lines(_ path: String) -> [Substring] {
        ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
    }

    private static func words(_ path: String, after mark: Character? = nil) -> [Substring] {
        guard let line = lines(path).first else { return [] }
        let start = mark.flatMap { line.lastIndex(of: $0) }.map { line.index(after: $0) } ?? line.startIndex
        return line[start...].split(separator: " ")
    }
}
