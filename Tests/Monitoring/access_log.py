"""The access log from outside: formats, hostile bytes, rotation under traffic, outputs that take nothing."""

import http.client
import json
import os
import re
import signal
import threading
import time

from monitoring_node import Node, check, until

COMBINED = re.compile(
    r'(?P<client>\S+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)" (?P<cache>[a-z]+)')
ROTATIONS = 20


def lines_of(path):
    try:
        with open(path, "rb") as file:
            return file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def wait_for_lines(path, count):
    return until(lambda: len(found := lines_of(path)) >= count and found,
                 lambda: f"{len(lines_of(path))} of {count} lines in {path}")


HOSTILE = [
    b'GET /a"b\\c HTTP/1.1\r\nHost: one.test\r\n',
    b'GET /x HTTP/1.1\r\nHost: one.test\r\nUser-Agent: a" 200 0 "-" "-" hit\\\r\nReferer: \xff\xfe\xc2\x9b31m\xe2\x80\xa8\r\n',
    b'GET /x HTTP/1.1\r\nHost: one.test\r\nUser-Agent: caf\xc3\xa9 \xed\xa0\x80 \xf0\x9f\x90\x9a \xf0\x9f\r\nReferer: "\r\n',
    b'GET /x HTTP/1.1\r\nHost: one.test\r\nUser-Agent: \t","cache":"hit"}\t\r\n',
]


def check_formats(binary, folder, origin):
    """Both formats, with what clients may send to spoil them: a request is one line that parses."""
    for form in ("json", "combined"):
        log = os.path.join(folder, f"{form}.log")
        node = Node(binary, os.path.join(folder, form), origin, log=log, form=form)
        try:
            plain = (b"GET /a?q=1 HTTP/1.1\r\nHost: one.test\r\nUser-Agent: agent/1 (test)\r\n"
                     b"Referer: http://example.test/\r\n")
            refused = b"GET /\x1b[31m HTTP/1.1\r\nHost: one.test\r\n"
            # Event loops write their lines in turns: those of a moment may be in another order.
            for number, request in enumerate([plain, plain, *HOSTILE, refused]):
                node.raw(request + b"Connection: close\r\n\r\n")
                lines = wait_for_lines(log, number + 1)
            check(len(lines) == 3 + len(HOSTILE), f"{form}: {len(lines)} lines")
            for line in lines:
                bad = [byte for byte in line if byte < 32 or byte == 127 or (form == "combined" and byte > 126)]
                check(not bad, f"{form}: control bytes in {line}")
            text = [line.decode("utf-8", "strict") for line in lines]
            (check_json if form == "json" else check_combined)(text)
        finally:
            node.stop()


def check_json(lines):
    records = [json.loads(line) for line in lines]
    first, second, last = records[0], records[1], records[-1]
    wanted = {"client": "127.0.0.1", "site": "one.test", "method": "GET", "target": "/a?q=1", "proto": "HTTP/1.1",
              "status": 200, "bytes": 100, "userAgent": "agent/1 (test)", "referer": "http://example.test/"}
    for record in (first, second):
        check(wanted.items() <= record.items(), f"json: {record}")
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"]), f"json: {record['time']}")
    check((first["cache"], first["reason"], first["originStatus"]) == ("miss", "not-stored", 200), f"json: {first}")
    check(0 < first["ttfbMicros"] <= first["us"], f"json: {first}")
    check((second["cache"], second["reason"]) == ("hit", "fresh"), f"json: {second}")
    check("originStatus" not in second, f"json: {second}")
    check((last["status"], last["cache"], last["reason"]) == (400, "error", "bad-request"), f"json: {last}")
    hostile = records[2:-1]
    check(hostile[0]["target"] == '/a"b\\c', f"json: {hostile[0]}")
    check(hostile[1]["userAgent"] == 'a" 200 0 "-" "-" hit\\', f"json: {hostile[1]}")
    check(hostile[1]["referer"] == "\ufffd\ufffd\u009b31m\u2028", f"json: {hostile[1]}")
    agent = hostile[2]["userAgent"]
    check(agent.startswith("café \ufffd") and "\U0001f41a" in agent and agent.endswith("\ufffd"), f"json: {hostile[2]}")
    check(hostile[3]["userAgent"] == '","cache":"hit"}', f"json: {hostile[3]}")
    check("\u2028" not in lines[3] and "\u009b" not in lines[3], f"json: not escaped: {lines[3]}")


def check_combined(lines):
    matches = []
    for line in lines:
        match = COMBINED.fullmatch(line)
        check(match, f"combined: {line}")
        matches.append(match)
    first, second = matches[0], matches[1]
    check(first["client"] == "127.0.0.1" and first["request"] == "GET /a?q=1 HTTP/1.1", f"combined: {lines[0]}")
    check((first["status"], first["bytes"], first["cache"]) == ("200", "100", "miss"), f"combined: {lines[0]}")
    check(second["cache"] == "hit" and second["agent"] == "agent/1 (test)", f"combined: {lines[1]}")
    check(second["referer"] == "http://example.test/", f"combined: {lines[1]}")
    check(matches[2]["request"] == r"GET /a\x22b\x5Cc HTTP/1.1".replace("5C", "5c"), f"combined: {lines[2]}")
    check(matches[3]["agent"] == r"a\x22 200 0 \x22-\x22 \x22-\x22 hit\x5c", f"combined: {lines[3]}")
    check(matches[3]["cache"] == "miss" or matches[3]["cache"] == "hit", f"combined: {lines[3]}")
    check(matches[-1]["request"] == "-" and matches[-1]["status"] == "400", f"combined: {lines[-1]}")


class Traffic:
    """Clients that ask for /a?n=NUMBER, each number once, until told to stop."""

    def __init__(self, node, clients=4):
        self.node = node
        self.sent = [0] * clients
        self.over = threading.Event()
        self.failed = []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=20)
        try:
            while not self.over.is_set():
                connection.request("GET", f"/a/{client}/{self.sent[client]}", headers={"Host": "one.test"})
                answer = connection.getresponse()
                if answer.status != 200 or len(answer.read()) != 100:
                    self.failed.append(answer.status)
                self.sent[client] += 1
        except OSError as error:
            self.failed.append(error)
        finally:
            connection.close()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        check(not self.failed, f"requests failed: {self.failed[:3]}")
        return [f"/a/{client}/{number}" for client, sent in enumerate(self.sent) for number in range(sent)]


def check_rotation(binary, folder, origin):
    """Twenty rotations under traffic: every request in one line of one file; then a file that cannot be opened."""
    base = os.path.join(folder, "rotation")
    os.makedirs(os.path.join(base, "log"))
    log = os.path.join(base, "log", "access.log")
    node = Node(binary, base, origin, log=log)
    try:
        traffic = Traffic(node)
        try:
            for number in range(ROTATIONS):
                before = sum(traffic.sent)
                until(lambda: sum(traffic.sent) > before + 20 or traffic.failed, "no traffic")
                os.rename(log, f"{log}.{number}")
                node.child.send_signal(signal.SIGUSR1)
                until(lambda: os.path.exists(log), "the new file does not appear")
        finally:
            wanted = traffic.stop()
        paths = [f"{log}.{number}" for number in range(ROTATIONS)] + [log]
        found = until(lambda: len(lines := [l for p in paths for l in lines_of(p)]) >= len(wanted) and lines,
                      "lines are missing after the rotations")
        targets = sorted(json.loads(line)["target"] for line in found)
        check(targets == sorted(wanted), f"{len(targets)} lines for {len(wanted)} requests, or others")
        check(all(lines_of(p) for p in paths[:-1]), "a file of the rotation is empty")

        # After the new file is there, nothing goes to the old one.
        os.rename(log, f"{log}.old")
        node.child.send_signal(signal.SIGUSR1)
        until(lambda: os.path.exists(log), "the new file does not appear")
        size = os.path.getsize(f"{log}.old")
        node.get("/after")
        wait_for_lines(log, 1)
        check(os.path.getsize(f"{log}.old") == size, "a line went to the old file")

        # A file that cannot be opened: the old one goes on.
        os.rename(os.path.join(base, "log"), os.path.join(base, "moved"))
        node.child.send_signal(signal.SIGUSR1)
        until(lambda: "access log not reopened" in node.said(), "no word of the file that cannot be opened")
        node.get("/kept")
        moved = os.path.join(base, "moved", "access.log")
        until(lambda: b'"/kept"' in b"".join(lines_of(moved)), "the old file does not go on")
        same = node.stop()
        check(same == 0, f"exit code {same}")
        return len(wanted)
    finally:
        node.stop()


def check_ending(binary, folder, origin):
    """The last lines before SIGTERM are in the file when the process has ended."""
    log = os.path.join(folder, "ending.log")
    node = Node(binary, os.path.join(folder, "ending"), origin, log=log)
    try:
        for number in range(50):
            node.get(f"/a/{number}")
        check(node.stop() == 0, "exit code")
        check(len(lines_of(log)) == 50, f"{len(lines_of(log))} of 50 lines after the end")
    finally:
        node.stop()


def fill(node, request, rounds):
    """Pipelined hits, fast: `rounds` times 100 of them."""
    for _ in range(rounds):
        answer = node.raw(request * 100)
        check(answer.count(b"HTTP/1.1 200") == 100, "an answer is missing")


def check_blocked_pipe(binary, folder, origin, by):
    """An output that nobody reads: requests go on, what is lost is counted, and what was kept comes out whole."""
    base = os.path.join(folder, f"blocked-{by}")
    os.makedirs(base)
    fifo = os.path.join(base, "pipe")
    read_end = write_end = None
    if by == "fifo":
        os.mkfifo(fifo)
        node = Node(binary, base, origin, log=fifo)
    else:
        read_end, write_end = os.pipe()
        node = Node(binary, base, origin, log="-", stdout=write_end)
        os.close(write_end)
    try:
        request = b"GET /a HTTP/1.1\r\nHost: one.test\r\nUser-Agent: " + b"x" * 4000 + b"\r\n\r\n"
        node.get("/a")
        rounds = 0
        while node.status()["accessLog"]["droppedLines"] == 0:
            fill(node, request, 5)
            rounds += 5
            check(rounds < 100, "nothing was dropped though nobody reads")
        fill(node, request, 5)
        rounds += 5
        dropped = until(lambda: node.status()["accessLog"]["droppedLines"], "dropped lines")
        if by == "stdout":
            received = read_all(read_end, lambda data: len(data) and data.endswith(b"\n")
                                and data.count(b"\n") + dropped >= rounds * 100 + 1)
            for line in received.split(b"\n")[:-1]:
                json.loads(line)
            kept = received.count(b"\n")
            check(kept + dropped == rounds * 100 + 1, f"{kept} kept and {dropped} dropped of {rounds * 100 + 1}")
            # More than the pipe takes: the writer is stuck in it when the end comes.
            fill(node, request, 2)
        began = time.monotonic()
        check(node.stop() == 0, "exit code")
        check(time.monotonic() - began < 10, "the end waited for a reader")
    finally:
        if read_end is not None:
            os.close(read_end)
        node.stop()


def read_all(descriptor, is_enough):
    received = bytearray()
    while not is_enough(received):
        piece = os.read(descriptor, 1 << 20)
        check(piece, "the pipe ended early")
        received += piece
    return bytes(received)


def check_full_disk(binary, folder, origin):
    """/dev/full takes nothing: lines are lost and counted, requests go on."""
    node = Node(binary, os.path.join(folder, "full"), origin, log="/dev/full")
    try:
        for _ in range(20):
            check(node.get("/a").status == 200, "a request failed for a full disk")
        until(lambda: node.status()["accessLog"]["droppedLines"] == 20, "20 lines dropped")
        node.child.send_signal(signal.SIGUSR1)
        until(lambda: "access log reopened: /dev/full" in node.said(), "no word of the reopening")
        check(node.get("/a").status == 200, "a request failed after the reopening")
    finally:
        node.stop()


def run(binary, folder, origin):
    check_formats(binary, folder, origin)
    print("access log, formats and hostile bytes: ok")
    count = check_rotation(binary, folder, origin)
    print(f"access log, {ROTATIONS} rotations under {count} requests: ok")
    check_ending(binary, folder, origin)
    check_blocked_pipe(binary, folder, origin, "stdout")
    check_blocked_pipe(binary, folder, origin, "fifo")
    check_full_disk(binary, folder, origin)
    print("access log, the end, pipes that nobody reads, a full disk: ok")
