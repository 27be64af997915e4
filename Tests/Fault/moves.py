#!/usr/bin/env python3
"""Origins that move: a real node, and a name that /etc/hosts points elsewhere while requests go on.

Run by hand as root: it gives itself a mount namespace of its own, in which /etc/hosts is a file of the test. Takes two
minutes. With --short it leaves out that a name without any address goes on with its last ones.
"""

import argparse
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

NAME = "origin.test"


class Origin(threading.Thread):
    """Answers every request with its own address, on connections that stay open."""

    def __init__(self, address, port=0):
        super().__init__(daemon=True)
        self.address = address
        self.closes = False
        self.connections = set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rb")
        try:
            while line := stream.readline():
                while stream.readline() not in (b"\r\n", b""):
                    pass
                body = self.address.encode()
                fields = b"Connection: close\r\n" if self.closes else b""
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n%sContent-Length: %d\r\n\r\n"
                    % (fields, len(body)) + (b"" if line.startswith(b"HEAD") else body))
                if self.closes:
                    break
        except OSError:
            pass
        finally:
            self.connections.discard(connection)
            stream.close()
            connection.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": "www.example"})
        response = connection.getresponse()
        body = response.read().decode()
        return body if response.status == 200 else response.status
    finally:
        connection.close()


def seconds_until(port, expected, limit):
    begun = time.monotonic()
    last = None
    while time.monotonic() < begun + limit:
        last = get(port)
        if last == expected:
            return time.monotonic() - begun
        time.sleep(0.05)
    sys.exit(f"not there after {limit} s: {expected}; the last answer was {last}")


def run(binary, folder, is_short):
    hosts = os.path.join(folder, "hosts")

    def point(*addresses):
        # Written in its place: the mount is of this very file.
        with open(hosts, "w") as file:
            file.write("127.0.0.1 localhost\n" + "".join(f"{address} {NAME}\n" for address in addresses))

    point("127.0.0.1")
    subprocess.check_call(["mount", "--make-rprivate", "/"])
    subprocess.check_call(["mount", "--bind", hosts, "/etc/hosts"])
    one = Origin("127.0.0.1")
    two = Origin("127.0.0.2", one.port)
    port = free_port()
    node = subprocess.Popen(
        [binary, "serve", "--origin", f"http://{NAME}:{one.port}", "--listen", f"127.0.0.1:{port}",
         "--admin", f"127.0.0.1:{free_port()}", "--cache-dir", os.path.join(folder, "cache"),
         "--memory", "64MiB", "--disk", "64MiB", "--access-log", "off"],
        stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                get(port)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        assert get(port) == "127.0.0.1"
        point("127.0.0.2")
        print(f"a move while all is well: followed after {seconds_until(port, '127.0.0.2', 30):.1f} s")
        deadline = time.monotonic() + 2
        while one.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not one.connections, "connections to the old address are still open"
        point("127.0.0.1")
        two.stop()
        print(f"a move while connecting fails: followed after {seconds_until(port, '127.0.0.1', 5):.1f} s")
        one.stop()
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline:
            assert get(port) != 200
            time.sleep(0.05)
        two = Origin("127.0.0.2", one.port)
        point("127.0.0.2")
        print(f"a move 12 s after the origin went: followed after {seconds_until(port, '127.0.0.2', 5):.1f} s")
        if not is_short:
            point()
            two.closes = True
            for _ in range(75):
                assert get(port) == "127.0.0.2", "the last address of a name is forgotten"
                time.sleep(1)
            print("75 s without an address: its last one serves")
    finally:
        node.terminate()
        node.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        run(options.binary, options.inside, options.short)
        return
    folder = tempfile.mkdtemp(prefix="rockpool-moves-")
    try:
        command = ["unshare", "--mount", sys.executable, __file__, "--binary", os.path.abspath(options.binary),
                   "--inside", folder] + (["--short"] if options.short else [])
        sys.exit(subprocess.call(command))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
