#!/usr/bin/env python3
"""Rockpool beside nginx proxy_cache: same machine, same run, alternating rounds. `make bench` starts it.

Each server runs on one core, the load and the origin on another. Both caches pull from one nginx origin on
loopback. For every row the answer is first compared with the origin's, byte for byte (SHA-256), and its cache status
must be what the row claims to measure; the origin's own request counter must agree. Otherwise the run is aborted:
a fast wrong answer is no figure.

CPU per request is utime + stime of all threads and processes of the server over the round, divided by the requests
answered. The figures to reach stand in the table ROWS. Absolute times drift from machine to machine; trust ratios.
"""

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import os
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time

import disk_rows
from harness import Abort, FileOrigin, Nginx, Rockpool, check, get, verify, wrk

CHUNKS, CHUNK_BYTES, STREAM_SECONDS = 50, 4096, 1.0


@dataclasses.dataclass
class Row:
    name: str
    kind: str
    argument: object
    # Hits and misses: our CPU over nginx's. Stampede: p99 lag in milliseconds, None where only the count matters.
    # The rows of disk_rows.py that have no nginx beside them say themselves what they have to reach.
    reach: float | None
    is_default: bool = True


ROWS = [
    Row("hit-1KiB", "hit", "1KiB", 0.55),
    Row("hit-16KiB", "hit", "16KiB", 0.75),
    Row("hit-256KiB", "hit", "256KiB", 1.0),
    Row("disk-256KiB", "disk", disk_rows.Objects("256KiB", 256 << 10, 512), 0.9),
    Row("disk-10MiB", "disk", disk_rows.Objects("10MiB", 10 << 20, 24), 0.9),
    Row("miss", "miss", "1KiB", 1.2),
    Row("stampede-100", "stampede", 100, 5.0),
    Row("stampede-1000", "stampede", 1000, None),
    Row("churn-rss", "churn", None, None, is_default=False),
    Row("restart-1M", "restart", 1_000_000, None, is_default=False),
]


def stream_origin(listener, pipe, core):
    """Streams every object over a second in fifty chunks; each chunk begins with the moment of its sending."""
    os.sched_setaffinity(0, {core})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    counts, digests, lock = {}, {}, threading.Lock()

    def serve(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    data = connection.recv(65536)
                    if not data:
                        return
                    pending += data
                head, _, pending = pending.partition(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                with lock:
                    counts[path] = counts.get(path, 0) + 1
                    first = counts[path] == 1
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Type: application/octet-stream\r\n"
                    b"Content-Length: %d\r\n\r\n" % (CHUNKS * CHUNK_BYTES))
                digest, start = hashlib.sha256(), time.monotonic()
                for number in range(CHUNKS):
                    time.sleep(max(0, start + number * STREAM_SECONDS / CHUNKS - time.monotonic()))
                    chunk = struct.pack("<d", time.monotonic()) + bytes([number]) * (CHUNK_BYTES - 8)
                    digest.update(chunk)
                    connection.sendall(chunk)
                with lock:
                    digests.setdefault(path, set()).add(digest.hexdigest())

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=lambda: quietly(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        with lock:
            pipe.send((counts.get(path, 0), sorted(digests.get(path, ()))))


def quietly(serve, connection):
    try:
        serve(connection)
    except OSError:
        pass  # the cache hung up


class StreamOrigin:
    def __init__(self, core):
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = listener.getsockname()[1]
        self.pipe, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self.child = context.Process(target=stream_origin, args=(listener, other, core), daemon=True)
        self.child.start()
        listener.close()

    def outcome(self, path):
        """How often the path was asked for, and the digests of what was sent."""
        self.pipe.send(path)
        check(self.pipe.poll(30), "the streaming origin does not answer")
        return self.pipe.recv()

    def end(self):
        self.child.terminate()
        self.child.join()


def run_load_row(row, options, origin, servers, directory):
    """Hits: one stored object. Misses: every URL is asked for once, and the origin must see each of them."""
    results = {server.name: [] for server in servers}
    path = f"/{row.argument}?{row.name}"
    for server in servers:
        if row.kind == "hit":
            verify(server, origin, path, row.argument, "miss")
            verify(server, origin, path, row.argument, "hit")
            wrk(server, path, "one", 1, options.load_core, directory)
        else:
            verify(server, origin, f"{path}&first", row.argument, "miss")
            wrk(server, f"{path}&warm-", "unique", 1, options.load_core, directory)
    for number in range(options.rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            before = origin.requests()
            round_path = path if row.kind == "hit" else f"{path}&round-{number}-"
            asked = "unique" if row.kind == "miss" else "one"
            result = wrk(server, round_path, asked, options.seconds, options.load_core, directory)
            pulls = origin.requests() - before
            if row.kind == "hit":
                check(pulls == 0, f"{server.name}: {row.name}: {pulls} requests reached the origin during hits")
                verify(server, origin, path, row.argument, "hit")
            else:
                check(pulls >= result["requests"],
                      f"{server.name}: {row.name}: {result['requests']} answers but {pulls} origin requests")
                verify(server, origin, f"{round_path}after", row.argument, "miss")
            results[server.name].append(result)
    return results


class StampedeClient:
    """One client: counts the body's bytes and notes when each chunk was complete."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.received = bytearray()
        self.body = -1
        self.arrivals = []

    def take(self):
        """Reads what is there; False at the end of the body."""
        data = self.socket.recv(262144)
        now = time.monotonic()
        check(data, f"a connection closed after {len(self.received)} bytes: {bytes(self.received[:300])!r}")
        self.received += data
        if self.body < 0:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return True
            self.body = end + 4
            head = bytes(self.received[:end]).lower()
            check(head.startswith(b"http/1.1 200") and b"content-length: %d" % (CHUNKS * CHUNK_BYTES) in head,
                  f"not the expected head: {head!r}")
        complete = (len(self.received) - self.body) // CHUNK_BYTES
        while len(self.arrivals) < complete:
            self.arrivals.append(now)
        return complete < CHUNKS

    def lags(self):
        """Milliseconds from the origin's sending of each chunk, stamped into it, to its arrival here."""
        stamps = (struct.unpack_from("<d", self.received, self.body + i * CHUNK_BYTES)[0] for i in range(CHUNKS))
        return [(arrival - stamp) * 1000 for arrival, stamp in zip(self.arrivals, stamps)]


def stampede(server, origin, clients_count, path, expect_one):
    clients = [StampedeClient(server.port) for _ in range(clients_count)]
    poll = select.epoll()
    try:
        by_descriptor = {client.socket.fileno(): client for client in clients}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.EPOLLIN)
        request = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (path.encode(), server.port)
        for client in clients:
            client.socket.send(request)
        open_clients, deadline = set(by_descriptor), time.monotonic() + 60
        while open_clients:
            check(time.monotonic() < deadline, f"{server.name}: {len(open_clients)} clients still wait after 60 s")
            for descriptor, _ in poll.poll(1):
                if not by_descriptor[descriptor].take():
                    poll.unregister(descriptor)
                    open_clients.discard(descriptor)
    finally:
        poll.close()
        for client in clients:
            client.socket.close()
    pulls, digests = origin.outcome(path)
    check(pulls == 1 or not expect_one, f"{server.name}: {clients_count} clients caused {pulls} origin requests")
    for client in clients:
        digest = hashlib.sha256(client.received[client.body:]).hexdigest()
        check(digest in digests, f"{server.name}: a client got bytes that the origin did not send")
    lags = sorted(lag for client in clients for lag in client.lags())
    return {"p50": lags[len(lags) // 2], "p99": lags[int(len(lags) * 0.99)], "pulls": pulls}


def run_stampede_row(row, options, origin, servers):
    results = {server.name: [] for server in servers}
    for number in range(options.rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            path = f"/{row.name}-{number}-{server.name}"
            result = stampede(server, origin, row.argument, path, expect_one=server.name == Rockpool.name)
            if result["pulls"] == 1:
                status, fields, _ = get(server.port, path)
                check(status == 200 and server.state(fields) == "hit",
                      f"{server.name}: after the stampede the object is not stored: {server.state(fields)}")
            results[server.name].append(result)
    return results


def median(results, key):
    return statistics.median(result[key] for result in results)


def report(row, results):
    ours, theirs = results[Rockpool.name], results[Nginx.name]
    if row.kind == "stampede":
        p99 = median(ours, "p99")
        pulls = max(result["pulls"] for result in ours)
        verdict = "" if row.reach is None else ("reached" if p99 <= row.reach else "not reached")
        reach = "1 pull" if row.reach is None else f"p99 <= {row.reach:g} ms"
        return (f"{row.name:<14} lag p50 {median(ours, 'p50'):6.1f} p99 {p99:6.1f} ms, {pulls} pull"
                f" | nginx p50 {median(theirs, 'p50'):6.1f} p99 {median(theirs, 'p99'):6.1f} ms,"
                f" {max(result['pulls'] for result in theirs)} pull | {reach} {verdict}")
    mine, nginx = median(ours, "cpu"), median(theirs, "cpu")
    ratios = [a["cpu"] / b["cpu"] for a, b in zip(ours, theirs)]
    ratio = statistics.median(ratios)
    verdict = "reached" if ratio <= row.reach else "not reached"
    # A server that waits for the load batches less: its CPU per request is then no fair figure.
    idle = [f"{name} {median(rounds, 'busy'):.0%}" for name, rounds in results.items() if median(rounds, "busy") < 0.8]
    if idle and row.kind in ("hit", "disk"):
        verdict += f"; not saturated: {', '.join(idle)} busy, is something else running?"
    return (f"{row.name:<14} {mine:7.1f} us {median(ours, 'rate'):9.0f} req/s | nginx {nginx:7.1f} us"
            f" {median(theirs, 'rate'):9.0f} req/s | ratio {ratio:5.2f} ({min(ratios):.2f} to {max(ratios):.2f}),"
            f" reach <= {row.reach:g}: {verdict}")


def parse():
    parser = argparse.ArgumentParser(description="Rockpool beside nginx proxy_cache in the same run.")
    parser.add_argument("--binary", default=".build/release/rockpool")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per row and server (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of load per round (default 4)")
    parser.add_argument("--rows", default=",".join(row.name for row in ROWS if row.is_default),
                        help="comma-separated, default %(default)s; besides: "
                        + ", ".join(row.name for row in ROWS if not row.is_default))
    parser.add_argument("--replay", default=".build/release/replay",
                        help="the replay executable, which fills the store of restart-1M (default %(default)s)")
    parser.add_argument("--restart-count", type=int, help="stored responses of restart-1M, for a shorter try")
    parser.add_argument("--churn-seconds", type=int, default=60, help="load of churn-rss (default %(default)s)")
    parser.add_argument("--output", default="Benchmarks/out/latest.json", help="all rounds as JSON; empty: none")
    options = parser.parse_args()
    known = {row.name: row for row in ROWS}
    unknown = [name for name in options.rows.split(",") if name not in known]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    options.rows = [known[name] for name in options.rows.split(",")]
    options.binary = os.path.abspath(options.binary)
    options.replay = os.path.abspath(options.replay)
    if any(row.kind == "restart" for row in options.rows) and not os.access(options.replay, os.X_OK):
        parser.error(f"{options.replay} is not there; build it first (swift build -c release --product replay)")
    if not os.access(options.binary, os.X_OK):
        parser.error(f"{options.binary} is not there; build it first (make build)")
    for tool in ("wrk", "taskset"):
        if not shutil.which(tool):
            parser.error(f"{tool} is not installed")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed, one for the server and one for the load")
    options.server_core, options.load_core = cores[0], cores[1]
    return options


def main():
    options = parse()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20000, hard) if hard > 0 else 20000, hard))
    os.sched_setaffinity(0, {options.load_core})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = tempfile.mkdtemp(prefix="rockpool-bench-")
    ends, everything, code = [], {}, 0
    try:
        def servers_for(port, name):
            servers = []
            for kind in (Rockpool, Nginx):
                server = kind(options.binary, port, options.server_core, os.path.join(directory, f"{name}-{kind.name}"))
                ends.append(server.end)
                servers.append(server)
            return servers

        load_servers = stream_servers = origin = None
        for row in options.rows:
            if row.kind in ("hit", "miss", "disk", "churn") and origin is None:
                origin = FileOrigin(options.load_core, directory)
                ends.append(origin.process.end)
            if row.kind == "stampede":
                if stream_servers is None:
                    stream = StreamOrigin(options.load_core)
                    ends.append(stream.end)
                    stream_servers = servers_for(stream.port, "stream")
                results = run_stampede_row(row, options, stream, stream_servers)
            elif row.kind == "disk":
                results = disk_rows.run_disk(row, options, origin, directory, ends)
            elif row.kind in ("churn", "restart"):
                run = disk_rows.run_churn if row.kind == "churn" else disk_rows.run_restart
                everything[row.name], line = run(row, options, origin, directory, ends)
                print(line, flush=True)
                continue
            else:
                if load_servers is None:
                    load_servers = servers_for(origin.port, "load")
                results = run_load_row(row, options, origin, load_servers, directory)
            everything[row.name] = results
            print(report(row, results), flush=True)
        if options.output:
            os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
            with open(options.output, "w") as file:
                json.dump(everything, file, indent=1)
    except Abort as abort:
        print(f"bench: aborted: {abort}", file=sys.stderr)
        code = 1
    finally:
        for end in reversed(ends):
            end()
        shutil.rmtree(directory, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
