"""What stands behind the page: an origin that tells its requests apart, and a node in front of it."""

import http.client
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time

START_SECONDS = 20


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Origin:
    """Answers everything with a number that grows with each pull. What begins with /kept may be cached."""

    def __init__(self):
        origin = self
        self.lock, self.pulls = threading.Lock(), 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with origin.lock:
                    origin.pulls += 1
                    body = f"pull {origin.pulls}\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", f'"{origin.pulls}"')
                self.send_header("Surrogate-Key", "kept-things")
                is_kept = self.path.startswith("/kept")
                self.send_header("Cache-Control", "max-age=3600" if is_kept else "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Node:
    """`rockpool serve`, which can be stopped and started again on the same ports; it dies with this process."""

    def __init__(self, binary, origin, work):
        self.binary, self.origin, self.work = binary, origin, work
        self.port, self.admin = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.token_file = os.path.join(work, "token")
        self.log = os.path.join(work, "node.log")
        self.child = None

    def start(self, token):
        with open(self.token_file, "w", encoding="ascii") as file:
            file.write(token + "\n")
        os.chmod(self.token_file, 0o600)
        arguments = [
            self.binary, "serve", "--origin", f"http://127.0.0.1:{self.origin.port}",
            "--listen", self.address, "--admin", f"127.0.0.1:{self.admin}",
            "--admin-token-file", self.token_file, "--cache-dir", os.path.join(self.work, "cache"),
            "--memory", "128MiB", "--disk", "1GiB", "--access-log", "off"]
        if shutil.which("setpriv"):
            arguments = ["setpriv", "--pdeathsig", "KILL", *arguments]
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.ask("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if self.child.poll() is not None or time.monotonic() > deadline:
                with open(self.log, "rb") as log:
                    raise RuntimeError("the node did not start: " + log.read()[-1500:].decode(errors="replace"))
            time.sleep(0.02)

    def stop(self):
        if self.child is None or self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def ask(self, path, **fields):
        """Status, fields and body of a GET from the admin listener."""
        return self.get(self.admin, path, fields)

    def fetch(self, path):
        """The body of a GET through the cache."""
        status, _, body = self.get(self.port, path, {"Connection": "close"})
        if status != 200:
            raise AssertionError(f"GET {path} through the node: {status}")
        return body.decode()

    def send(self, target):
        """A GET whose target goes out as it is; the answer's status."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as wire:
            wire.sendall(f"GET {target} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n\r\n".encode())
            answer = wire.recv(4096)
            while wire.recv(4096):
                pass
        return int(answer.split(b" ", 2)[1])

    @staticmethod
    def get(port, path, fields):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers=fields)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()
