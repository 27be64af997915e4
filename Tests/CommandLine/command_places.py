"""What the tests of the command line run against: an origin, a node, and a terminal to run commands in."""

import fcntl
import http.client
import http.server
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time

DEADLINE_SECONDS = 30


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Origin(http.server.ThreadingHTTPServer):
    """Serves any path; what a path holds depends on the words in it. `gate` holds back those with `gated`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), OriginHandler)
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.requests = []
        self.active = 0
        self.most_active = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        pass  # A client that goes away is part of the tests.


class OriginHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        origin = self.server
        with origin.lock:
            origin.requests.append((self.headers.get("Host"), self.path, dict(self.headers)))
            origin.active += 1
            origin.most_active = max(origin.most_active, origin.active)
        try:
            self.answer()
        finally:
            with origin.lock:
                origin.active -= 1

    do_HEAD = do_GET

    def answer(self):
        body = b"x" * 3000
        if "gated" in self.path:
            self.server.gate.wait(DEADLINE_SECONDS)
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Type", "text/css")
        if "unkept" in self.path:
            self.send_header("Cache-Control", "no-store")
        else:
            self.send_header("Cache-Control", "max-age=600")
            self.send_header("ETag", '"first"')
        if "tagged" in self.path:
            self.send_header("Surrogate-Key", "product-1 other")
        if "broken" in self.path:
            self.send_header("Content-Length", str(len(body) + 100))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


class Node:
    """A running node in a folder of its own; it dies with this process."""

    def __init__(self, binary, origin, admin=None):
        self.binary = binary
        self.folder = tempfile.mkdtemp(prefix="rockpool-commands-")
        self.port, free = free_ports(2)
        self.admin_port = admin or free
        self.token = f"token-{os.urandom(8).hex()}"
        self.token_file = os.path.join(self.folder, "token")
        with open(os.open(self.token_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(self.token + "\n")
        self.origin_port = origin.port
        self.start()

    @property
    def admin(self):
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        arguments = [
            self.binary, "serve", "--origin", f"http://127.0.0.1:{self.origin_port}",
            "--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin_port}",
            "--admin-token-file", self.token_file, "--cache-dir", os.path.join(self.folder, "cache"),
            "--memory", "64MiB", "--disk", "64MiB", "--access-log", "off"]
        if shutil.which("setpriv"):
            arguments = ["setpriv", "--pdeathsig", "KILL", *arguments]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=2)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.02)
            finally:
                connection.close()
        with open(os.path.join(self.folder, "log")) as log:
            raise RuntimeError("the node does not start:\n" + log.read()[-2000:])

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fetch(self, path, host="www.example.com", fields=()):
        """One request as a client: the status and the Cache-Status of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path, headers={"Host": host, **dict(fields)})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Cache-Status") or ""
        finally:
            connection.close()

    def fetch_raw(self, target, host="www.example.com"):
        """A request whose target is bytes; whatever the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS) as wire:
            wire.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
            while wire.recv(65536):
                pass


class Screen:
    """A command in a pseudo-terminal: what it wrote, and the terminal's settings before and after."""

    FRAME = re.compile(rb"\x1b\[H(.*?)\x1b\[J", re.DOTALL)
    CONTROL = re.compile(rb"\x1b\[[?0-9;]*[A-Za-z]")

    def __init__(self, arguments, environment, columns=80, rows=24, folder=None):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.child = subprocess.Popen(
            arguments, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment, cwd=folder,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, columns, rows, tell=True):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, found, what, seconds=DEADLINE_SECONDS):
        """Reads until `found(self)`; what it waits for is `what`."""
        deadline = time.monotonic() + seconds
        while not found(self):
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"the terminal never showed {what}; it showed\n{self.output[-3000:]!r}")
            if select.select([self.master], [], [], min(left, 0.1))[0]:
                self.output += os.read(self.master, 65536)
            elif self.child.poll() is not None and not select.select([self.master], [], [], 0)[0]:
                if found(self):
                    return
                raise AssertionError(f"ended before it showed {what}:\n{self.output[-3000:]!r}")

    def frames(self, start=0):
        """The frames shown since `start`: lists of lines, without colours."""
        found = []
        for match in self.FRAME.finditer(self.output, start):
            text = self.CONTROL.sub(b"", match.group(1)).decode()
            found.append(re.split(r"\r+\n", text))
        return found

    def keys(self, text):
        os.write(self.master, text.encode())

    def signal(self, number):
        self.child.send_signal(number)

    def end(self, seconds=10):
        """The exit code, once it ended; all that it wrote is read."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.02)[0]:
                self.output += os.read(self.master, 65536)
            elif self.child.poll() is not None:
                return self.child.returncode
        self.child.kill()
        raise AssertionError(f"it did not end; it showed\n{self.output[-3000:]!r}")

    def is_restored(self):
        """Whether the settings are what they were, the cursor is back and the other screen gone."""
        return (termios.tcgetattr(self.slave) == self.before
                and self.output.rfind(b"\x1b[?1049l") > self.output.rfind(b"\x1b[?1049h")
                and self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l"))

    def close(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)
