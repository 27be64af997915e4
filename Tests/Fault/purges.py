#!/usr/bin/env python3
"""Purges under load and across kill -9: no read that begins after a purge was answered sees an older version.

A real node stands before an origin whose objects have versions; every version has the same entity tag, so that nothing
but the purge tells them apart. Readers on connections of their own read all the time while one object after another is
changed at the origin and purged by URL, by every query, by prefix, by host, by tag or altogether. Now and then the node
is killed right after its 200 and started again on what it left on disk.
"""

import argparse
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HOST = "www.example"
SIZES = [200, 20_000, 400_000]


class Versions:
    """What the origin serves, and the oldest version that a read that begins now may see."""

    def __init__(self, count):
        self.paths = [f"/d{number % 3}/object-{number}" for number in range(count)]
        self.current = {path: 0 for path in self.paths}
        self.least = {path: 0 for path in self.paths}
        self.lock = threading.Lock()

    def body(self, path):
        size = SIZES[self.paths.index(path) % len(SIZES)]
        with self.lock:
            unit = f"{path} v{self.current[path]}\n".encode()
        return unit * (size // len(unit) + 1)


def origin(versions):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = self.path.split("?")[0]
            body = versions.body(path)
            self.send_response(200)
            self.send_header("Cache-Control", "max-age=3600")
            self.send_header("ETag", '"same"')
            self.send_header("Surrogate-Key", f"object{versions.paths.index(path)} site")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # a node that was killed hangs up

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Node:
    def __init__(self, binary, origin_port, folder):
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            self.port, self.admin = one.getsockname()[1], other.getsockname()[1]
        self.arguments = [
            binary, "serve", "--origin", f"http://127.0.0.1:{origin_port}", "--listen", f"127.0.0.1:{self.port}",
            "--admin", f"127.0.0.1:{self.admin}", "--cache-dir", os.path.join(folder, "cache"),
            "--memory", "64MiB", "--disk", "256MiB", "--access-log", "off"]
        self.start()

    def start(self):
        with open(os.path.join(self.folder, "node.log"), "ab") as log:
            self.child = subprocess.Popen(self.arguments, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                time.sleep(0.02)
        else:
            raise SystemExit("FAILED: the node does not start")
        with open(os.path.join(self.folder, "cache", "admin.token"), encoding="ascii") as token:
            self.token = token.read().strip()

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def purge(self, order):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        try:
            connection.request(
                "POST", "/purge", json.dumps(order),
                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise SystemExit(f"FAILED: {order}: {response.status} {answer.decode()}")
        finally:
            connection.close()


def read(connection, versions, path, encoding=None):
    """One read; an error message where it saw what it must not."""
    with versions.lock:
        least = versions.least[path]
    connection.request("GET", path, headers={"Host": HOST, **({"Accept-Encoding": encoding} if encoding else {})})
    response = connection.getresponse()
    body = response.read()
    lines = set(body.splitlines())
    if response.status != 200 or len(lines) != 1:
        return f"{path}: {response.status}, {len(lines)} different lines: {sorted(lines)[:3]}"
    name, version = lines.pop().decode().split(" v")
    if name != path or int(version) < least:
        return f"{path}: v{version} of {name} after v{least} was purged in ({response.getheader('Cache-Status')})"
    return None


def reader(node, versions, stop, faults, counts, seed):
    choose = random.Random(seed)
    connection = None
    while not stop.is_set():
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
            fault = read(connection, versions, choose.choice(versions.paths))
            if fault:
                faults.append(fault)
                return
            counts[seed] += 1
        except (OSError, http.client.HTTPException):
            connection = None  # the node was killed
            stop.wait(0.02)


def orders(path, number):
    url = f"http://{HOST}{path}"
    return [
        {"url": url}, {"url": url, "anyQuery": True}, {"prefix": url[:url.rindex("-")]}, {"host": HOST},
        {"tag": f"object{number}"}, {"tag": "site"}, {"all": True}]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--purges", type=int, default=600)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    choose = random.Random(options.seed)
    versions = Versions(24)
    server = origin(versions)
    folder = tempfile.mkdtemp(prefix="rockpool-purges-")
    node = Node(os.path.abspath(options.binary), server.server_address[1], folder)
    stop, faults, counts = threading.Event(), [], [0] * 12
    readers = [
        threading.Thread(target=reader, args=(node, versions, stop, faults, counts, seed)) for seed in range(12)]
    for thread in readers:
        thread.start()
    kills = set(choose.sample(range(1, options.purges), options.kills))
    try:
        for turn in range(options.purges):
            number = choose.randrange(len(versions.paths))
            path = versions.paths[number]
            with versions.lock:
                versions.current[path] += 1
                before = dict(versions.current)
            order = orders(path, number)[turn % 7]
            node.purge(order)
            reached = versions.paths if turn % 7 in (3, 5, 6) else [path]
            if turn in kills:
                node.kill()
            with versions.lock:
                for one in reached:
                    versions.least[one] = before[one]
            if turn in kills:
                node.start()
                connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
                faults += [fault for fault in (read(connection, versions, one) for one in versions.paths) if fault]
            if faults:
                break
    finally:
        stop.set()
        for thread in readers:
            thread.join()
        node.kill()
        server.shutdown()
    if faults:
        raise SystemExit("FAILED: " + "\n".join(faults[:5]) + f"\n(files in {folder})")
    if min(counts) == 0:
        raise SystemExit("FAILED: a reader read nothing")
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.purges} purges, {options.kills} kills right after one, {sum(counts)} reads: none saw an older version")


if __name__ == "__main__":
    sys.exit(main())
