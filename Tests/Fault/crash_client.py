"""Clients of the crash suite, and the ledger that knows which answers are right.

The ledger keeps, for each path, the version below which no answer may fall (a POST that completed at a client
before the request began), and for each path and variant when the current version was first received whole,
which is what a node has to keep. Both are undone where the contract lets a crash undo them.
"""

import collections
import dataclasses
import re
import select
import socket
import struct
import threading
import time

from crash_origin import MIB, parse_range

# What completed so long before a kill must survive it: one second, and the clients' own delay.
SETTLED_SECONDS = 1.2
HOST = "crash.test"


@dataclasses.dataclass
class Answer:
    """What came back: `error` where no head or not the whole body came."""
    status: int = 0
    fields: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    error: str = ""

    @property
    def is_whole(self):
        return self.status != 0 and not self.error


class Wire:
    """A connection to the node, kept between exchanges, with a time limit on everything."""

    def __init__(self, port, timeout=10):
        self.port, self.timeout = port, timeout
        self.socket = self.reader = None

    def close(self, reset=False):
        if self.socket:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.reader.close()
            self.socket.close()
        self.socket = self.reader = None

    def exchange(self, method, path, fields=(), content=b"", give_up_after=None):
        """One request and its answer; never raises. `give_up_after`: close once so many body bytes came."""
        answer = Answer()
        # What can be read before a request is the end of the connection.
        if self.socket and select.select([self.socket], [], [], 0)[0]:
            self.close()
        try:
            if not self.socket:
                self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.reader = self.socket.makefile("rb", 65536)
            lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
            lines += [f"{name}: {value}" for name, value in fields]
            if method == "POST":
                lines.append(f"Content-Length: {len(content)}")
            self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
            self.receive(method, answer, give_up_after)
        except (OSError, ValueError) as error:
            answer.error = str(error) or type(error).__name__
        if answer.error or answer.fields.get("connection", "").lower() == "close":
            self.close()
        return answer

    def receive(self, method, answer, give_up_after):
        deadline = time.monotonic() + 2 * self.timeout
        status = 100
        while 100 <= status < 200:
            line = self.reader.readline(65536)
            match = re.match(rb"HTTP/1\.1 (\d{3})[ \r]", line)
            if not match:
                raise ValueError(f"no status line: {line[:80]!r}" if line else "closed before a head")
            status, fields = int(match.group(1)), {}
            while (line := self.reader.readline(65536)) != b"\r\n":
                name, colon, value = line.partition(b":")
                if not colon or not line.endswith(b"\r\n"):
                    raise ValueError(f"broken head: {line[:80]!r}")
                name, value = name.decode("latin-1").lower(), value.strip().decode("latin-1")
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
        answer.status, answer.fields = status, fields
        pieces = []
        try:
            if method != "HEAD" and status not in (204, 304):
                self.receive_body(fields, pieces, give_up_after, deadline)
        finally:
            answer.body = b"".join(pieces)

    def receive_body(self, fields, pieces, give_up_after, deadline):
        got = 0

        def take(count):
            nonlocal got
            while count:
                piece = self.reader.read1(min(count, 65536))
                if not piece:
                    raise ValueError("the body broke off")
                pieces.append(piece)
                got, count = got + len(piece), count - len(piece)
                if give_up_after is not None and got >= give_up_after:
                    raise ValueError("given up")
                if time.monotonic() > deadline:
                    raise ValueError("the body takes too long")

        if fields.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.reader.readline(100).split(b";")[0], 16):
                take(size)
                if self.reader.readline(100) != b"\r\n":
                    raise ValueError("broken chunk")
            while (line := self.reader.readline(65536)) != b"\r\n":
                if not line:
                    raise ValueError("the trailers broke off")
        elif "content-length" in fields:
            take(int(fields["content-length"]))
        else:
            raise ValueError("a body without a length")


@dataclasses.dataclass
class Begun:
    """What the ledger knew of a path when a request for it began."""
    floor: int
    epoch: int
    is_quiet: bool


class Ledger:
    """What has been sent, raised and received; shared by all clients of a mode, across its rounds."""

    def __init__(self, content, versions):
        self.content, self.versions = content, versions
        self.lock = threading.Lock()
        self.floor = [0] * len(content.specs)
        self.epoch = [0] * len(content.specs)
        self.posting = [0] * len(content.specs)
        self.unsettled = set()
        self.recent = []  # (when, path number, version) of POSTs of this life of the node
        self.received = {}  # (number, variant): (when, version, Cache-Status)
        self.settled_floor = {}  # the floors that no crash can undo any more
        self.suspect = set()  # keys that may lie in damaged files
        self.wrong = []
        self.reported = collections.Counter()
        self.wrong_count = 0
        self.killed_at = None
        self.origin_is_up = True
        self.in_flight = 0
        self.remarks = collections.Counter()
        self.clear_counts()

    def clear_counts(self):
        self.asked = self.verified = self.refused = self.unkept = self.old = 0

    def report(self, kind, what, answer=None, about=None):
        """Counts a failure; the first ones are kept with their explanation, two of a kind for each path."""
        with self.lock:
            self.wrong_count += 1
            self.reported[kind, about] += 1
            if len(self.wrong) < 20 and (about is None or self.reported[kind, about] <= 2):
                said = ""
                if answer is not None:
                    said = f"\n      answered {answer.status} {answer.fields}" + (
                        f"\n      error: {answer.error}" if answer.error else "")
                self.wrong.append(f"{kind}: {what}{said}")

    def begin(self, spec):
        with self.lock:
            number = spec.number
            is_quiet = not self.posting[number] and number not in self.unsettled
            return Begun(self.floor[number], self.epoch[number], is_quiet)

    def begin_post(self, spec):
        with self.lock:
            self.epoch[spec.number] += 1
            self.posting[spec.number] += 1
            for variant in spec.variants:
                self.received.pop((spec.number, variant), None)

    def end_post(self, spec, version):
        """`version`: what the answer named; None where none came: the node may have seen it or not."""
        with self.lock:
            self.posting[spec.number] -= 1
            if version is None:
                self.unsettled.add(spec.number)
            else:
                self.recent.append((time.monotonic(), spec.number, version))
                self.floor[spec.number] = max(self.floor[spec.number], version)

    def keep(self, spec, variant, version, begun, status):
        """A whole response came: from now on the node has it, unless it said that it does not keep it."""
        key = (spec.number, variant)
        is_hit = "; hit" in status
        with self.lock:
            if not (is_hit or "; stored" in status):
                self.unkept += 1
                self.remarks[f"whole and not kept: {status}"] += 1
                return
            if not is_hit:
                self.suspect.discard(key)
            if (
                    key in self.suspect or not begun.is_quiet or begun.epoch != self.epoch[spec.number]
                    or version != self.versions[spec.number]):
                return
            if key not in self.received or self.received[key][1] != version:
                self.received[key] = (time.monotonic(), version, status)

    def survive(self, killed_at):
        """The node was killed: forgets what it may forget. Returns what of `received` must be there."""
        settled = killed_at - SETTLED_SECONDS
        with self.lock:
            weak = {number for when, number, _ in self.recent if when > settled}
            for number in weak:
                durable = [v for when, n, v in self.recent if n == number and when <= settled]
                self.floor[number] = max([self.settled_floor.get(number, 0), *durable])
            self.settled_floor = {number: floor for number, floor in enumerate(self.floor) if floor}
            self.recent.clear()
            self.unsettled.clear()
            return {key: entry for key, entry in self.received.items() if entry[0] <= settled}

    def forget(self):
        """The files were damaged: nothing has to be there, and an old version may come back."""
        with self.lock:
            self.received.clear()
            self.floor = [0] * len(self.floor)
            self.settled_floor = {}
            specs = self.content.specs
            self.suspect = {(spec.number, variant) for spec in specs for variant in spec.variants}

    # MARK: Judging

    def judge(self, spec, variant, fields, answer, begun, method="GET", given_up=False, post_floor=None):
        """Compares an answer with what it may be; the version it held, or None where it told none."""
        with self.lock:
            self.asked += 1
        if answer.error and not given_up:
            if not self.origin_is_up and answer.status and (spec.number, variant) in self.suspect:
                # A block turned out to be damaged in the middle of an answer, and the origin is down: an end that
                # nobody can take for the whole is all there is left to do.
                with self.lock:
                    self.remarks[f"a {answer.status} broke off at a damaged block"] += 1
            elif self.killed_at is None:
                posted = begun.epoch != self.epoch[spec.number] or not begun.is_quiet
                if posted and answer.status:
                    # Parts that were pulled before and after a new version do not make one body.
                    with self.lock:
                        self.remarks[f"a {answer.status} broke off after a POST: {answer.error}"] += 1
                else:
                    self.report("broken", f"{method} {spec.path} {dict(fields)}", answer, spec.path)
            if not answer.status:
                return None
        if not answer.status:
            return None
        if answer.status in (502, 503, 504):
            with self.lock:
                self.refused += 1
                if self.origin_is_up:
                    why = answer.fields.get("proxy-status")
                    self.remarks[f"{answer.status} with the origin up: {why}"] += 1
            return None
        problem, version = self.fault(spec, variant, dict(fields), answer, begun.floor, method)
        if problem:
            what = f"{method} {spec.path} {variant} {dict(fields)}: {problem}"
            self.report("wrong", what, answer, spec.path)
            return None
        with self.lock:
            self.verified += 1
            if post_floor is not None and version is not None and version < post_floor[spec.number]:
                self.old += 1
        return version

    def fault(self, spec, variant, fields, answer, floor, method):
        newest = self.versions[spec.number]
        allowed = range(floor, newest + 1)
        if answer.status == 416:
            match = re.fullmatch(r"bytes \*/(\d+)", answer.fields.get("content-range", ""))
            for version in allowed:
                size = spec.size(version)
                if match and int(match.group(1)) == size and parse_range(fields.get("Range", ""), size) == []:
                    return None, None
            return f"416 for versions {allowed}, sizes {[spec.size(v) for v in allowed]}", None
        match = re.fullmatch(r'"(\d+)-(\d+)-(\w+)"', answer.fields.get("etag", ""))
        if answer.status not in (200, 206, 304) or not match:
            return "an unexpected status, or no ETag", None
        version = int(match.group(2))
        if int(match.group(1)) != spec.number or match.group(3) != variant:
            return "the ETag is another response's", None
        if version not in allowed:
            return f"version {version}; it may be {floor} to {newest}", None
        if answer.status == 304:
            return None if fields.get("If-None-Match") == answer.fields["etag"] else "304 unasked", version
        expected = self.content.body(spec, version, variant)
        if answer.status == 206:
            return self.partial_fault(fields, answer, expected), version
        length = answer.fields.get("content-length")
        if length is not None and int(length) != len(expected):
            return f"Content-Length {length} instead of {len(expected)}", version
        if method == "HEAD":
            return None, version
        if answer.is_whole and len(answer.body) != len(expected):
            return f"{len(answer.body)} bytes instead of {len(expected)}; " + (
                self.difference(answer.body, expected, 0) or "the rest is right"), version
        return self.difference(answer.body, expected, 0), version

    def partial_fault(self, fields, answer, expected):
        if "Range" not in fields:
            return "206 unasked"
        if fields.get("If-Range", answer.fields["etag"]) != answer.fields["etag"]:
            return "206 although If-Range does not hold"
        wanted = parse_range(fields["Range"], len(expected))
        content_type = answer.fields.get("content-type", "")
        boundary = re.fullmatch(r"multipart/byteranges; *boundary=(\S+)", content_type)
        if not boundary:
            match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.fields.get("content-range", ""))
            if not match:
                return "206 without a Content-Range"
            start, end, size = int(match.group(1)), int(match.group(2)) + 1, int(match.group(3))
            if size != len(expected) or not covers([(start, end)], wanted):
                return f"Content-Range does not answer {wanted} of {len(expected)}"
            if int(answer.fields.get("content-length", end - start)) != end - start:
                return "Content-Length is not that of Content-Range"
            if answer.is_whole and len(answer.body) != end - start:
                return f"{len(answer.body)} bytes instead of {end - start}"
            return self.difference(answer.body, expected[start:end], start)
        if not answer.is_whole:
            return None
        return self.multipart_fault(answer.body, boundary.group(1).strip('"').encode(), wanted, expected)

    def multipart_fault(self, body, boundary, wanted, expected):
        given, position = [], 0
        opening = re.compile(
            rb"(?:\r\n)?--" + re.escape(boundary) + rb"(?:\r\n((?:[^\r\n]+\r\n)+)\r\n|--(?:\r\n)?$)")
        while match := opening.match(body, position):
            if match.group(1) is None:
                return None if covers(given, wanted) else f"parts {given} do not answer {wanted}"
            found = re.search(rb"(?im)^content-range: *bytes (\d+)-(\d+)/(\d+)\r$", match.group(1))
            if not found or int(found.group(3)) != len(expected):
                return f"a part without a right Content-Range: {match.group(1)!r}"
            start, end = int(found.group(1)), int(found.group(2)) + 1
            piece = body[match.end():match.end() + end - start]
            if len(piece) != end - start:
                return "a part broke off"
            if problem := self.difference(piece, expected[start:end], start):
                return problem
            given.append((start, end))
            position = match.end() + end - start
        return f"not a part at {position}: {body[position:position + 60]!r}"

    def difference(self, got, expected, offset):
        """Where `got`, a beginning of the expected bytes, differs; None where it does not."""
        if got == expected[:len(got)]:
            return None
        at = next((i for i in range(min(len(got), len(expected))) if got[i] != expected[i]), len(expected))
        differing = sum(1 for a, b in zip(got[at:], expected[at:]) if a != b)
        source = self.content.whose(got[at:at + 16], offset + at, self.versions)
        first_line = got[:60].partition(b"\n")[0]
        return (
            f"wrong bytes from {offset + at} on ({differing} of {len(got)} differ;"
            f" got {got[at:at + 8].hex()}, right is {expected[at:at + 8].hex()};"
            f" first line {first_line!r}): {source}")


def covers(given, wanted):
    """Whether the ranges given hold all those wanted, and nothing that was not asked for."""
    if wanted is None:
        return False
    inside = all(any(a <= c and d <= b for a, b in given) for c, d in wanted)
    ends = {end for _, end in wanted}
    return inside and all(any(a == c for c, _ in wanted) and b in ends for a, b in given)


class Client(threading.Thread):
    """Asks for this and that until told to stop."""

    def __init__(self, ledger, port, rng, stop, wants_large):
        super().__init__(daemon=True)
        self.ledger, self.rng, self.stop, self.wants_large = ledger, rng, stop, wants_large
        self.wire = Wire(port)
        self.port = port
        specs = ledger.content.specs
        self.large = [spec for spec in specs if spec.is_large]
        self.small = [spec for spec in specs if not spec.is_large]
        self.weights = [1 / (rank + 3) ** 0.8 for rank in range(len(self.small))]
        self.seen = {}

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
        except Exception as error:  # a fault of the suite must not look like a pass
            self.ledger.report("suite", f"a client failed: {type(error).__name__}: {error}")
        finally:
            self.wire.close()

    def step(self):
        rng = self.rng
        if rng.random() < (0.5 if self.wants_large else 0.06):
            spec = rng.choice(self.large)
        else:
            spec, = rng.choices(self.small, self.weights)
        variant = rng.choice(spec.variants)
        fields = [("Accept-Encoding", "gzip")] if variant == "gzip" else []
        kind = rng.random()
        if kind < (0.01 if spec.is_large else 0.03):
            self.post(spec)
        elif kind < 0.60:
            self.get(spec, variant, fields)
        elif kind < 0.80:
            value = random_range(rng, spec)
            if rng.random() < 0.3 and (spec, variant) in self.seen:
                fields.append(("If-Range", self.seen[spec, variant]))
            self.get(spec, variant, [*fields, ("Range", value)])
        elif kind < 0.88:
            if (spec, variant) in self.seen:
                fields.append(("If-None-Match", self.seen[spec, variant]))
            self.get(spec, variant, fields)
        elif kind < 0.94:
            begun = self.ledger.begin(spec)
            answer = self.wire.exchange("HEAD", spec.path, fields)
            self.ledger.judge(spec, variant, fields, answer, begun, "HEAD")
        else:
            self.leave(spec, variant, fields)

    def get(self, spec, variant, fields):
        ledger = self.ledger
        begun = ledger.begin(spec)
        if spec.is_large:
            with ledger.lock:
                ledger.in_flight += 1
        answer = self.wire.exchange("GET", spec.path, fields)
        if spec.is_large:
            with ledger.lock:
                ledger.in_flight -= 1
        version = ledger.judge(spec, variant, fields, answer, begun)
        if version is None:
            return
        self.seen[spec, variant] = answer.fields["etag"]
        plain = all(name == "Accept-Encoding" for name, _ in fields)
        if answer.is_whole and answer.status == 200 and plain:
            ledger.keep(spec, variant, version, begun, answer.fields.get("cache-status", ""))

    def leave(self, spec, variant, fields):
        """A client that goes away in the middle, with and without a reset."""
        begun = self.ledger.begin(spec)
        wire = Wire(self.port)
        answer = wire.exchange("GET", spec.path, fields, give_up_after=self.rng.randrange(1, 128 << 10))
        wire.close(reset=self.rng.random() < 0.5)
        self.ledger.judge(spec, variant, fields, answer, begun, given_up=answer.error in ("given up", ""))

    def post(self, spec):
        self.ledger.begin_post(spec)
        wire = Wire(self.port)
        answer = wire.exchange("POST", spec.path, content=b"x" * self.rng.randrange(2000))
        wire.close()
        version = None
        if answer.is_whole and answer.status in (200, 204) and "x-version" in answer.fields:
            version = int(answer.fields["x-version"])
        elif self.ledger.killed_at is None and answer.status not in (502, 503, 504):
            self.ledger.report("broken", f"POST {spec.path}", answer)
        self.ledger.end_post(spec, version)


def random_range(rng, spec):
    """A Range value: one range, to the end, a suffix or several; now and then beyond the end."""
    size = max(spec.base, 1)
    kind = rng.random()
    if kind < 0.25:
        return f"bytes=-{rng.choice([1, 100, size // 2 + 1, size + 5])}"
    start = rng.choice([0, rng.randrange(size), (rng.randrange(size) >> 16) << 16, size - 1])
    if kind < 0.4:
        return f"bytes={start if rng.random() < 0.95 else size + MIB}-"
    end = min(start + rng.choice([0, 1, 4095, 65535, MIB]), size + 10)
    if kind < 0.7 or size < 1000:
        return f"bytes={start}-{end}"
    step = size // 5
    fifths = sorted(rng.sample(range(5), rng.choice([2, 3])))
    parts = [f"{n * step}-{n * step + rng.randrange(step // 2)}" for n in fifths]
    if rng.random() < 0.3:
        parts.append(f"-{rng.randrange(1, step)}")
    return "bytes=" + ",".join(parts)
