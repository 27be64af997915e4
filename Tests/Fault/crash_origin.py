"""The origin of the crash suite: what each path holds in each version, and a process that serves it.

Every byte is a function of the seed, the path, its version and the variant, so that the checker needs
no record of what was sent. Versions live in memory shared with the checker; only the origin raises them.
"""

import dataclasses
import email.utils
import functools
import hashlib
import multiprocessing
import random
import re
import signal
import socket
import threading
import time

KIB, MIB = 1 << 10, 1 << 20
# Around the limits of pages, segments and large bodies; each once with a length and once chunked.
EDGE_SIZES = [0, 1, 4 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1]
LARGEST = 6 * MIB
SPAN = 4 * MIB
PIECE = 256 * KIB


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is fixed about a path."""
    number: int
    base: int
    chunked: bool
    varies: bool
    grows: bool

    @property
    def path(self):
        return f"/o/{self.number}"

    @property
    def variants(self):
        return ("plain", "gzip") if self.varies else ("plain",)

    @property
    def is_large(self):
        return self.base >= MIB

    def size(self, version):
        return min(self.base + 37 * version, LARGEST) if self.grows else self.base


class Content:
    """All paths, and the bytes of each (path, version, variant)."""

    def __init__(self, seed, small=110, large=12):
        rng = random.Random(f"content {seed}")
        self.seed = seed
        self.block = rng.randbytes(SPAN + LARGEST)
        sizes = [(size, chunked, False) for size in EDGE_SIZES for chunked in (False, True)]
        for _ in range(small):
            sizes.append((int(2 ** rng.uniform(7.5, 16)), rng.random() < 0.15, rng.random() < 0.5))
        for _ in range(large - 1):
            sizes.append((rng.randrange(MIB, LARGEST - 64 * KIB), rng.random() < 0.25, True))
        sizes.append((LARGEST, False, False))
        rng.shuffle(sizes)
        self.specs = [
            Spec(number, size, chunked, rng.random() < 0.15, grows)
            for number, (size, chunked, grows) in enumerate(sizes)]

    @functools.lru_cache(maxsize=100_000)
    def place(self, number, version, variant):
        """Where in the block the bytes of a body begin, as if it had no first line."""
        name = f"{self.seed} {number} {version} {variant}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") % SPAN

    def body(self, spec, version, variant):
        size = spec.size(version)
        line = f"path={spec.path} version={version} variant={variant}\n".encode()
        start = self.place(spec.number, version, variant)
        return (line + self.block[start + len(line):start + max(size, len(line))])[:size]

    def etag(self, spec, version, variant):
        return f'"{spec.number}-{version}-{variant}"'

    def whose(self, piece, at, versions):
        """Names the bodies that hold `piece` at offset `at`, or elsewhere: where wrong bytes come from."""
        if not piece.strip(b"\0"):
            return "zeros"
        found = self.block.find(piece)
        if len(piece) < 8 or found < 0:
            return f"bytes of no body ({piece[:16].hex()}…)"
        names = []
        for spec in self.specs:
            for version in range(versions[spec.number] + 1):
                for variant in spec.variants:
                    offset = found - self.place(spec.number, version, variant)
                    if offset == at:
                        return f"those of {spec.path} version {version} variant {variant} at the same offset"
                    if 0 <= offset < spec.size(version):
                        names.append(f"{spec.path} version {version} variant {variant} at {offset}")
        return "perhaps those of " + ", or of ".join(names[:3]) + (", …" if len(names) > 3 else "")


def parse_range(value, size):
    """What a Range value selects of `size` bytes: None to ignore it, [] where nothing can be satisfied."""
    match = re.fullmatch(r"bytes=(.+)", value)
    ranges = []
    for member in match.group(1).split(",") if match else ():
        first, dash, last = member.strip().partition("-")
        if not dash or not (first or last):
            return None
        if not first:
            start, end = max(0, size - int(last)), size
            if not int(last):
                continue
        else:
            start, end = int(first), min(int(last) + 1, size) if last else size
        if start < end:
            ranges.append((start, end))
    return ranges if match else None


class Origin:
    """The handle on the origin's process. `versions` is shared; the rest goes through a pipe."""

    def __init__(self, content, lie=None):
        self.versions = multiprocessing.RawArray("i", len(content.specs))
        self.filled = multiprocessing.RawValue("q", 0)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.pipe, far = multiprocessing.Pipe()
        server = _Server(content, self.versions, self.filled, listener, lie)
        self.process = multiprocessing.Process(target=server.run, args=(far, self.pipe), daemon=True)
        self.process.start()
        far.close()
        listener.close()

    def order(self, word):
        self.pipe.send(word)
        if not self.pipe.poll(20):
            raise RuntimeError(f"the origin did not obey “{word}”")
        return self.pipe.recv()

    def end(self):
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class _Server:
    def __init__(self, content, versions, filled, listener, lie):
        self.content, self.versions, self.filled, self.listener = content, versions, filled, listener
        self.lie = lie
        self.lies = random.Random(f"lies {content.seed}")
        self.lock = threading.Lock()
        self.connections = set()
        self.is_up = False

    def run(self, pipe, other_end):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0)
        other_end.close()
        acceptor = None
        while True:
            try:
                word = pipe.recv()
            except (EOFError, OSError):
                return
            if word == "up" and not self.is_up:
                self.is_up = True
                self.listener.listen(1024)
                acceptor = threading.Thread(target=self.accept, args=(self.listener,), daemon=True)
                acceptor.start()
            elif word == "down" and self.is_up:
                self.is_up = False
                address = self.listener.getsockname()
                self.listener.shutdown(socket.SHUT_RDWR)
                acceptor.join()
                self.listener.close()
                # Bound and not listening: the port is refused, and nobody else gets it.
                self.listener = socket.socket()
                self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.listener.bind(address)
                with self.lock:
                    for connection in self.connections:
                        try:
                            connection.shutdown(socket.SHUT_RDWR)
                        except OSError:
                            pass
            pipe.send("done")

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as reader:
                while self.answer(connection, reader):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.connections.discard(connection)

    def answer(self, connection, reader):
        """One request; whether the connection goes on."""
        words = reader.readline(65536).split()
        if len(words) != 3:
            return False
        method, path = words[0].decode(), words[1].decode()
        fields = {}
        while line := reader.readline(65536).strip():
            name, _, value = line.partition(b":")
            fields[name.decode().lower()] = value.strip().decode()
        if "chunked" in fields.get("transfer-encoding", ""):
            while size := int(reader.readline(), 16):
                reader.read(size + 2)
            reader.readline()
        else:
            reader.read(int(fields.get("content-length", 0)))
        match = re.fullmatch(r"/o/(\d+)", path)
        if not match or int(match.group(1)) >= len(self.content.specs):
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        spec = self.content.specs[int(match.group(1))]
        if method == "POST":
            self.raise_version(connection, spec)
        else:
            self.send(connection, spec, method, fields)
        return True

    def raise_version(self, connection, spec):
        with self.lock:
            self.versions[spec.number] += 1
            version = self.versions[spec.number]
        if version % 2:
            connection.sendall(b"HTTP/1.1 204 No Content\r\nX-Version: %d\r\n\r\n" % version)
        else:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nX-Version: %d\r\nContent-Length: 7\r\n\r\nraised\n" % version)

    def send(self, connection, spec, method, fields):
        version = self.versions[spec.number]
        if self.lie == "old" and version and self.lies.random() < 0.5:
            version -= 1
        variant = "gzip" if spec.varies and "gzip" in fields.get("accept-encoding", "") else "plain"
        etag = self.content.etag(spec, version, variant)
        lines = [
            "Date: " + email.utils.formatdate(usegmt=True), "Cache-Control: max-age=86400", "ETag: " + etag,
            "Accept-Ranges: bytes"]
        if spec.varies:
            lines.append("Vary: Accept-Encoding")
        if etag in [one.strip() for one in fields.get("if-none-match", "").split(",")]:
            self.head(connection, "304 Not Modified", lines)
            return
        body = self.content.body(spec, version, variant)
        lines.append("Content-Type: application/octet-stream")
        status = "200 OK"
        if "range" in fields and fields.get("if-range", etag) == etag and method == "GET":
            ranges = parse_range(fields["range"], len(body))
            if ranges == []:
                self.head(
                    connection, "416 Range Not Satisfiable",
                    [f"Content-Range: bytes */{len(body)}", "Content-Length: 0"])
                return
            if ranges and len(ranges) == 1:
                (start, end), = ranges
                lines.append(f"Content-Range: bytes {start}-{end - 1}/{len(body)}")
                status, body = "206 Partial Content", body[start:end]
        if status == "200 OK" and method == "GET":
            body = self.bend(body)
        if method == "GET":
            with self.lock:
                self.filled.value += len(body) + 4 * KIB
        chunked = spec.chunked and status == "200 OK"
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        self.head(connection, status, lines)
        if method == "GET":
            self.write(connection, body, chunked)

    def bend(self, body):
        """The body, or with `--prove` sometimes a wrong one."""
        if len(body) < 200 or self.lies.random() > 0.04:
            return body
        if self.lie == "byte":
            at = self.lies.randrange(len(body))
            return body[:at] + bytes([body[at] ^ 0x10]) + body[at + 1:]
        return body[:-1] if self.lie == "short" else body

    @staticmethod
    def head(connection, status, lines):
        connection.sendall(("\r\n".join([f"HTTP/1.1 {status}", *lines]) + "\r\n\r\n").encode())

    @staticmethod
    def write(connection, body, chunked):
        """Large bodies take their time, so that a kill finds them on their way."""
        for start in range(0, len(body), PIECE):
            piece = body[start:start + PIECE]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if len(body) >= MIB:
                time.sleep(0.01)
        if chunked:
            connection.sendall(b"0\r\n\r\n")
