"""What the monitoring tests run against: an origin that does as its paths say, and a node as a process."""

import http.client
import http.server
import json
import os
import socket
import subprocess
import threading
import time

START_SECONDS = 20


class Failure(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message)


def until(condition, message, seconds=10):
    """Waits for an event; fails with `message` where it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        check(time.monotonic() < deadline, message() if callable(message) else message)
        time.sleep(0.01)
    return found


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
    """GET /NAME: 100 bytes. /stale… is never fresh and may be served stale, /private… may not be stored, /fail… is a
    500, /slow… waits to be released before its head goes out, /size/N/… has N bytes. While `failing`, everything is a
    500."""

    def __init__(self):
        origin = self
        self.release = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.failing = False

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                path = self.path.lstrip("/")
                if path.startswith("slow"):
                    origin.waiting.release()
                    origin.release.wait(20)
                status, control = 200, "max-age=3600"
                if path.startswith("fail") or origin.failing:
                    status, control = 500, "no-store"
                elif path.startswith("private"):
                    control = "private"
                elif path.startswith("stale"):
                    control = "max-age=0, stale-if-error=600"
                    if self.headers["If-None-Match"] == '"one"':
                        status = 304
                size = int(path.split("/")[1]) if path.startswith("size/") else 100
                self.send_response(status)
                self.send_header("Cache-Control", control)
                self.send_header("ETag", '"one"')
                if status != 304:
                    self.send_header("Content-Length", str(size))
                self.end_headers()
                if status != 304:
                    self.wfile.write(b"x" * size)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()


class Node:
    """A node in a folder of its own, from a configuration file; ended by its pid."""

    def __init__(self, binary, folder, origin, log="off", form="json", stdout=None):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.port, self.admin = free_ports(2)
        path = os.path.join(folder, "rockpool.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({
                "listen": [{"address": f"127.0.0.1:{self.port}"}],
                "admin": {"address": f"127.0.0.1:{self.admin}"},
                "cache": {"directory": os.path.join(folder, "cache"), "memory": "64MiB", "disk": "64MiB"},
                "log": {"access": log, "format": form},
                "origins": {"main": {"urls": [f"http://127.0.0.1:{origin.port}"]}},
                "sites": [
                    {"hosts": ["one.test"], "origin": "main", "rules": [
                        {"match": {"path": "/pass*"}, "cache": "pass"}]},
                    {"hosts": ["two.test", "*.two.test"], "origin": "main"},
                ],
            }, file)
        self.errors = os.path.join(folder, "errors.log")
        with open(self.errors, "wb") as errors:
            self.child = subprocess.Popen(
                [binary, "serve", "--config", path], stdin=subprocess.DEVNULL,
                stdout=stdout or subprocess.DEVNULL, stderr=errors)
        try:
            until(self.is_ready, self.last_words, START_SECONDS)
        except Failure:
            self.stop()
            raise
        with open(os.path.join(folder, "cache", "admin.token"), encoding="ascii") as file:
            self.token = file.read().strip()

    def is_ready(self):
        check(self.child.poll() is None, self.last_words())
        try:
            return self.get("/readyz", port=self.admin).status == 200
        except OSError:
            return False

    def last_words(self):
        with open(self.errors, "rb") as file:
            return f"the node did not do as it should; its last words:\n{file.read()[-1500:].decode(errors='replace')}"

    def said(self):
        with open(self.errors, encoding="utf-8", errors="replace") as file:
            return file.read()

    def get(self, path, host="one.test", port=None, headers=None, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20)
        try:
            connection.request(method, path, headers={"Host": host, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def raw(self, request):
        """Sends bytes, says that no more come, and reads until the node closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as wire:
            wire.sendall(request)
            wire.shutdown(socket.SHUT_WR)
            received = b""
            while piece := wire.recv(65536):
                received += piece
            return received

    def ask(self, path):
        answer = self.get(path, port=self.admin, headers={"Authorization": f"Bearer {self.token}"})
        check(answer.status == 200, f"{path} answered {answer.status}")
        return answer.body

    def metrics(self):
        return self.ask("/metrics").decode()

    def status(self):
        return json.loads(self.ask("/status"))

    def stop(self):
        """SIGTERM; the exit code."""
        if self.child.poll() is None:
            self.child.terminate()
        try:
            return self.child.wait(40)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()
