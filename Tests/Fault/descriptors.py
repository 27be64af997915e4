#!/usr/bin/env python3
"""A node under a low limit of open files, with more idle clients than that: the admin API answers, new clients are
served, origin and disk go on, no processor is burned, and when the clients leave all is as before.

    python3 Tests/Fault/descriptors.py --binary .build/release/rockpool

The limit (1,024) is that of the node alone; about ten seconds.
"""
import argparse
import http.client
import http.server
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

LIMIT = 1024
IDLE = 1100
BODY = b"0123456789abcdef" * 4096  # 64 KiB: more than lies in a record, so it comes from the disk in blocks


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=600" if self.path.startswith("/kept") else "no-store")
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


class Node:
    def __init__(self, binary, folder, origin_port, limit, *more):
        self.folder = folder
        self.errors = open(os.path.join(folder, "errors"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [binary, "serve", "--origin", f"http://127.0.0.1:{origin_port}", "--listen", "127.0.0.1:0", "--admin",
             "127.0.0.1:0", "--cache-dir", os.path.join(folder, "cache"), "--memory", "16MiB", "--access-log", "off",
             *more],
            stdout=subprocess.DEVNULL, stderr=self.errors,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limit), limit)))
        self.port = self.admin = None

    def said(self):
        with open(self.errors.name, encoding="utf-8") as file:
            return file.read()

    def wait(self):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            for line in self.said().splitlines():
                if "serving on http://" in line:
                    self.port = int(line.rsplit(":", 1)[1])
                if "admin on http://" in line:
                    self.admin = int(line.rsplit(":", 1)[1])
            if self.port and self.admin:
                with open(os.path.join(self.folder, "cache", "admin.token"), encoding="ascii") as file:
                    self.token = file.read().strip()
                return
            time.sleep(0.02)
        raise AssertionError("the node did not start: " + self.said())

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": "a.example"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, path, method="GET", body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        try:
            connection.request(method, path, body=body, headers={"Authorization": "Bearer " + self.token})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        for line in self.ask("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError("no metric " + name)

    def processor_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(40)
        self.errors.close()
        return self.process.returncode


def expect(truth, what):
    if not truth:
        raise AssertionError(what)


def idle_clients(node, count):
    clients = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", node.port), timeout=10)
        if number % 3 == 0:  # one in three waits between two requests, the others said nothing yet
            client.sendall(b"GET /kept HTTP/1.1\r\nHost: a.example\r\n\r\n")
        clients.append(client)
    return clients


def under_a_low_limit(binary, folder, origin_port):
    node = Node(binary, folder, origin_port, LIMIT)
    try:
        node.wait()
        expect(node.get("/kept") == (200, BODY), "the first answer")
        before = node.open_files()
        clients = idle_clients(node, IDLE)
        time.sleep(1)
        for number in range(30):
            started = time.monotonic()
            expect(node.ask("/healthz")[0] == 200, "/healthz")
            expect(node.ask("/purge", "POST", '{"tag":"none"}')[0] == 200, "a purge")
            expect(node.get("/kept") == (200, BODY), "a stored response")
            expect(node.get(f"/passed/{number}") == (200, BODY), "an answer of the origin")
            expect(node.get(f"/kept/{number}") == (200, BODY), "a response to be stored")
            expect(time.monotonic() - started < 5, "it takes too long")
            expect(node.open_files() <= LIMIT - 100, f"{node.open_files()} files are open")
        began, used = time.monotonic(), node.processor_seconds()
        time.sleep(2)
        share = (node.processor_seconds() - used) / (time.monotonic() - began)
        expect(share < 0.3, f"{share:.2f} of a processor is burned")
        ended, limit = node.metric("rockpool_connections_ended_idle_total"), node.metric("rockpool_connections_limit")
        expect(ended >= IDLE - limit, f"{ended} connections were ended of {IDLE}, where {limit} may be")
        expect(node.metric("rockpool_connections_open") <= limit + 16, "more are open than may be")
        lines = [line for line in node.said().splitlines() if "client connections:" in line]
        expect(len(lines) == 1, f"said {len(lines)} times in a minute")
        for client in clients:
            client.close()
        end = time.monotonic() + 10
        while node.open_files() > before + 200 and time.monotonic() < end:
            time.sleep(0.05)
        expect(node.open_files() <= before + 200, f"{node.open_files()} files are open, {before} were")
        expect(node.get("/kept") == (200, BODY), "the last answer")
        print(f"limit {LIMIT}: {ended:.0f} idle connections ended, {share:.2f} of a processor, {limit:.0f} clients")
    finally:
        expect(node.stop() == 0, "the node ended with " + str(node.process.returncode) + ": " + node.said())


def where_the_limit_falls(binary, folder, origin_port):
    """No descriptor is left for a moment, which the node could not foresee."""
    node = Node(binary, folder, origin_port, LIMIT)
    try:
        node.wait()
        expect(node.get("/kept") == (200, BODY), "the first answer")
        limit = node.open_files() + 4
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (limit, LIMIT))
        clients = idle_clients(node, 40)
        strangers = [socket.create_connection(("127.0.0.1", node.admin), timeout=10) for _ in range(20)]
        time.sleep(1)
        used = node.processor_seconds()
        time.sleep(2)
        used = node.processor_seconds() - used
        expect(used < 0.6, f"{used:.2f} s of 2 s are burned")
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        expect(node.get("/passed/1") == (200, BODY), "an answer of the origin")
        expect(node.metric("rockpool_accept_failures_total") > 0, "no failure was counted")
        expect("no descriptor or no memory for" in node.said(), node.said())
        for client in clients + strangers:
            client.close()
        print(f"no descriptor left: {used:.2f} s of 2 s")
    finally:
        expect(node.stop() == 0, "the node ended with " + str(node.process.returncode) + ": " + node.said())


def under_a_tiny_limit(binary, folder, origin_port):
    node = Node(binary, folder, origin_port, 64)
    expect(node.process.wait(30) != 0, "64 files cannot hold a disk of 10 GiB")
    expect("64 open files are too few: this node needs" in node.said(), node.said())
    node.stop()
    shutil.rmtree(os.path.join(folder, "cache"), ignore_errors=True)
    node = Node(binary, folder, origin_port, 100, "--disk", "0")
    try:
        node.wait()
        clients = idle_clients(node, 120)
        for number in range(5):
            expect(node.ask("/healthz")[0] == 200, "/healthz")
            expect(node.get(f"/passed/{number}") == (200, BODY), "an answer of the origin")
        for client in clients:
            client.close()
        expect("100 open files are few" in node.said(), node.said())
    finally:
        expect(node.stop() == 0, "the node ended with " + str(node.process.returncode) + ": " + node.said())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    for test in (under_a_low_limit, where_the_limit_falls, under_a_tiny_limit):
        folder = tempfile.mkdtemp(prefix="rockpool-descriptors-")
        try:
            test(os.path.abspath(options.binary), folder, origin.server_address[1])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    origin.shutdown()


if __name__ == "__main__":
    sys.exit(main())
