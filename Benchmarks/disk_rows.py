"""The rows of bench.py that are about the disk: hits from it, restarts, and how much memory and disk a node takes."""

import dataclasses
import hashlib
import os
import socket
import statistics
import subprocess
import time

from harness import Nginx, Process, Rockpool, check, free_ports, get, verify, wrk

MIB = 1 << 20


@dataclasses.dataclass
class Objects:
    """What a row asks for: so many files, each of its own bytes."""

    name: str
    bytes: int
    count: int


# MARK: Hits from disk


def await_written(server, count):
    """Waits until nothing is on its way to disk any more, and all of it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        disk = server.tiers()["disk"]
        if disk["disk"]["pendingBytes"] == 0 and disk["storedResponses"] >= count:
            return
        time.sleep(0.1)
    check(False, f"after 30 s not everything is on disk: {disk}")


def check_serves_from_disk(server, objects):
    """Memory cannot have the bodies: it holds far less than they weigh."""
    tiers = server.tiers()
    memory, disk = tiers["memory"]["usedBytes"], tiers["disk"]
    check(memory < objects.count * objects.bytes / 16,
          f"{memory} bytes in memory, of {objects.count} bodies of {objects.bytes}: hits may not come from disk")
    check(disk["disk"]["health"] == "good" and disk["disk"]["errors"] == 0, f"the disk fails: {disk}")
    check(disk.get("hitShare") is not None and disk["hitShare"] > 0.99, f"reads from disk found nothing: {disk}")


def run_disk(row, options, origin, directory, ends):
    """Hits on many stored objects, chosen at random; both caches read the page cache.

    Ours is started again once all is written: memory begins empty, and later holds fields but no bodies.
    """
    objects = row.argument
    names = [f"{objects.name}-{number}" for number in range(objects.count)]
    for name in names:
        origin.add(name, objects.bytes)
    place = os.path.join(directory, row.name)
    ours = Rockpool(options.binary, origin.port, options.server_core, place + "-rockpool",
                    more=["--memory", "32MiB", "--disk", "2GiB"])
    ends.append(ours.end)
    nginx = Nginx(options.binary, origin.port, options.server_core, place + "-nginx")
    ends.append(nginx.end)
    servers = [ours, nginx]
    for server in servers:
        for name in names:
            verify(server, origin, f"/{name}", name, "miss")
    await_written(ours, objects.count)
    ours.restart()
    for server in servers:
        # The second look at a response promotes its fields to memory, the first at a block proves it.
        for _ in range(3):
            for name in names:
                verify(server, origin, f"/{name}", name, "hit")
        load(server, objects, options, directory, 1)
    results = {server.name: [] for server in servers}
    for number in range(options.rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            before = origin.requests()
            result = load(server, objects, options, directory, options.seconds)
            pulls = origin.requests() - before
            check(pulls == 0, f"{server.name}: {row.name}: {pulls} requests reached the origin during hits")
            check(result["bytes"] >= result["requests"] * objects.bytes, f"{server.name}: bodies were short: {result}")
            verify(server, origin, f"/{names[number % len(names)]}", names[number % len(names)], "hit")
            results[server.name].append(result)
        check_serves_from_disk(ours, objects)
    for server in servers:
        server.end()
    for name in names:
        origin.drop(name)
    return results


def load(server, objects, options, directory, seconds):
    return wrk(server, f"/{objects.name}-", "many", seconds, options.load_core, directory, count=objects.count)


# MARK: Restart


def memory_of(pid):
    """Bytes of resident memory now and at most, and how much of what is resident now is files."""
    with open(f"/proc/{pid}/status") as file:
        figures = {line.split(":")[0]: line.split()[1:] for line in file}
    return tuple(int(figures[name][0]) * 1024 for name in ("VmRSS", "VmHWM", "RssFile"))


def filled_body(number, count):
    """The body that `replay fill` gives /fill/N; every hundredth is larger."""
    size = 300 << 10 if number % 1000 == 0 else 20 << 10 if number % 100 == 0 else 1 << 10
    line = b"/fill/%d\n" % number
    return (line * (size // len(line) + 1))[:size]


def first_answer(server, path):
    """Seconds from the start of the process to its first complete answer, and that answer."""
    request = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % (path.encode(), server.port)
    while True:
        check(server.process.child.poll() is None, f"the node ended at once:\n{server.process.output()}")
        check(time.monotonic() - server.started < 120, "no answer within 120 s")
        try:
            client = socket.create_connection(("127.0.0.1", server.port), 1)
            break
        except OSError:
            time.sleep(0.001)
    client.settimeout(60)
    with client:
        client.sendall(request)
        answer = b""
        while data := client.recv(65536):
            answer += data
    seconds = time.monotonic() - server.started
    head, _, body = answer.partition(b"\r\n\r\n")
    return seconds, head.decode(errors="replace"), body


def run_restart(row, options, origin, directory, ends):
    """Starts the node on a directory with a million stored responses and on an empty one, in turn. The origin is down.

    The page cache is as warm as the filling has left it: it is not dropped, since others may use the machine. So
    this says what the node needs, not what a cold disk would add: the journals, 64 bytes a response.
    """
    count = options.restart_count or row.argument
    port, admin, nobody = free_ports(3)
    full, empty = os.path.join(directory, "restart-full"), os.path.join(directory, "restart-empty")
    began = time.monotonic()
    filling = subprocess.run([options.replay, "fill", os.path.join(full, "cache"), str(count), str(port)],
                             capture_output=True, text=True, timeout=1800)
    check(filling.returncode == 0, f"{options.replay} fill: {filling.stdout}{filling.stderr}")
    print(f"{row.name}: {filling.stdout.strip()}, in {time.monotonic() - began:.0f} s", flush=True)
    starts = {"full": [], "empty": []}
    for number in range(options.rounds):
        asked = count - 1 - number * (count // options.rounds)
        for name, place in (("empty", empty), ("full", full)):
            server = Rockpool(options.binary, nobody, options.server_core, place, ports=(port, admin), awaited=False)
            ends.append(server.end)
            seconds, head, body = first_answer(server, f"/fill/{asked}")
            if name == "full":
                check(head.startswith("HTTP/1.1 200") and "Cache-Status: rockpool; hit" in head,
                      f"no hit (are node and replay built of the same sources?): {head}")
                check(body == filled_body(asked, count), f"/fill/{asked}: not the bytes that were stored")
            else:
                check(head.startswith("HTTP/1.1 50"), f"an empty store with no origin answered {head}")
            time.sleep(2)
            resident, _, files = memory_of(server.process.pid)
            disk = server.tiers()["disk"]
            if name == "full":
                found = disk["disk"]["recovery"]["responses"]
                check(found == count, f"{found} of {count} responses were found")
                sample_hits(server, count)
            starts[name].append({
                "first": seconds, "resident": resident, "files": files, "index": disk["disk"]["indexBytes"],
                "recovery": disk["disk"]["recovery"]["milliseconds"]})
            server.end()
    def middle(name, key):
        return statistics.median(start[key] for start in starts[name])
    seconds = [start["first"] for start in starts["full"]]
    each = (middle("full", "resident") - middle("empty", "resident")) / count
    index = middle("full", "index") / count
    verdict = "reached" if statistics.median(seconds) <= 1 and each <= 100 else "not reached"
    line = (f"{row.name:<14} first hit {statistics.median(seconds):.2f} s after start ({min(seconds):.2f} to"
            f" {max(seconds):.2f}; journals {middle('full', 'recovery'):.0f} ms; empty store"
            f" {middle('empty', 'first'):.2f} s), {each:.0f} bytes of memory each (index {index:.0f})"
            f" | reach <= 1 s, <= 100 bytes: {verdict}; page cache warm")
    return starts, line


def sample_hits(server, count):
    """Responses all over the store are there, byte for byte."""
    for number in {*range(0, count, max(1, count // 97)), 0, count - 1}:
        status, fields, body = get(server.port, f"/fill/{number}")
        check(status == 200 and server.state(fields) == "hit", f"/fill/{number}: {status}, {server.state(fields)}")
        check(body == filled_body(number, count), f"/fill/{number}: not the bytes that were stored")


# MARK: Churn

CHURN_MEMORY, CHURN_DISK = 128 * MIB, 512 * MIB
# From which to which size responses are in each sixth of the time, in bytes.
CHURN_PHASES = [(200, 8 << 10), (8 << 10, 256 << 10), (256 << 10, 4 << 20), (200, 4 << 20), (200, 8 << 10),
                (256 << 10, 4 << 20)]

CHURN_REQUESTS = """
local sizes = {%s}
local phases = {%s}
local seconds = %d
local started, number, asked = nil, 0, {}
init = function() math.randomseed(7) end
request = function()
    started = started or os.time()
    number = number + 1
    -- Three in ten ask again for one of the last thousand.
    if number > 1000 and math.random(10) <= 3 then return asked[math.random(0, 999)] end
    local phase = phases[math.min(#phases, 1 + math.floor((os.time() - started) * #phases / seconds))]
    local size = sizes[math.random(phase[1], phase[2])]
    local made = wrk.format("GET", path .. size .. "?" .. number)
    asked[number %% 1000] = made
    return made
end
"""


def churn_script(sizes, seconds):
    def index(bytes):
        return min(range(len(sizes)), key=lambda number: abs(sizes[number] - bytes)) + 1
    phases = ", ".join(f"{{{index(low)}, {index(high)}}}" for low, high in CHURN_PHASES)
    return CHURN_REQUESTS % (", ".join(map(str, sizes)), phases, seconds)


def occupied(server):
    """Bytes that the files of the cache directory occupy, and those of removed files that the node still holds."""
    named, held = {}, {}
    for folder, _, files in os.walk(server.cache):
        for name in files:
            try:
                found = os.stat(os.path.join(folder, name))
                named[found.st_ino] = found.st_blocks * 512
            except FileNotFoundError:
                pass
    descriptors = f"/proc/{server.process.pid}/fd"
    for name in os.listdir(descriptors):
        try:
            path = os.readlink(f"{descriptors}/{name}")
            found = os.stat(f"{descriptors}/{name}")
        except FileNotFoundError:
            continue
        # One that was removed since it was counted above counts once.
        if path.startswith(server.cache) and path.endswith(" (deleted)") and found.st_ino not in named:
            held[found.st_ino] = found.st_blocks * 512
    return sum(named.values()), sum(held.values())


def run_churn(row, options, origin, directory, ends):
    """Responses of shifting sizes, more than memory and disk hold; what the node takes, sampled all the time."""
    sizes = [int(200 * 2 ** (half / 2)) for half in range(29)] + [4 << 20]
    for size in sizes:
        origin.add(f"size-{size}", size)
    # As in production: a loop for each core.
    cores = f"{options.server_core},{options.load_core}"
    server = Rockpool(options.binary, origin.port, cores, os.path.join(directory, row.name),
                      more=["--memory", f"{CHURN_MEMORY // MIB}MiB", "--disk", f"{CHURN_DISK // MIB}MiB"])
    ends.append(server.end)
    get(server.port, f"/size-{sizes[0]}?first")
    at_start, _, files = memory_of(server.process.pid)
    script = os.path.join(directory, "churn.lua")
    with open(script, "w") as file:
        file.write('local path = "/size-"\n' + churn_script(sizes, options.churn_seconds))
    generator = Process("wrk", ["wrk", "-t1", "-c32", f"-d{options.churn_seconds}s", "-s", script,
                                f"http://127.0.0.1:{server.port}/"], options.load_core, directory)
    ends.append(generator.end)
    samples, disk_at = [], 0
    began = time.monotonic()
    named = held = 0
    while generator.child.poll() is None:
        check(time.monotonic() - began < options.churn_seconds + 60, "the load does not end")
        if time.monotonic() >= disk_at:
            (named, held), disk_at = occupied(server), time.monotonic() + 0.1
        samples.append((time.monotonic() - began, memory_of(server.process.pid)[0], named, held))
        time.sleep(0.02)
    output = generator.output()
    check(generator.child.returncode == 0 and "Socket errors" not in output and "Non-2xx" not in output, output)
    tiers = server.tiers()
    disk = tiers["disk"]
    check(disk["disk"]["errors"] == 0 and disk["disk"]["health"] == "good", f"the disk failed: {disk}")
    for tier in tiers.values():
        check(tier["evictions"] > 0, f"nothing was evicted from {tier['name']}: more seconds are needed")
    for size in sizes:
        status, _, body = get(server.port, f"/size-{size}?after")
        same = hashlib.sha256(body).digest() == hashlib.sha256(origin.bodies[f"size-{size}"]).digest()
        check(status == 200 and same, f"/size-{size}: status {status}, {len(body)} bytes, not the origin's bytes")
    _, peak, files_now = memory_of(server.process.pid)
    server.end()
    memory_ratio = peak / CHURN_MEMORY
    above = statistics.fmean(sample[1] > 1.1 * CHURN_MEMORY for sample in samples)
    disk_ratio = max(sample[2] for sample in samples) / CHURN_DISK
    with_held = max(sample[2] + sample[3] for sample in samples) / CHURN_DISK
    worst = max(samples, key=lambda sample: sample[1])
    verdict = "reached" if memory_ratio <= 1.1 and disk_ratio <= 1 else "not reached"
    requests = output[output.find(" requests in") - 12:].split(" requests")[0].split()[-1]
    line = (f"{row.name:<14} memory at most {memory_ratio:.2f} of its budget (above 1.10 for {above:.1%} of the time,"
            f" most at {worst[0]:.0f} s; at start {at_start / CHURN_MEMORY:.2f}, of it files"
            f" {files / CHURN_MEMORY:.2f}, now {files_now / CHURN_MEMORY:.2f}), disk {disk_ratio:.2f} of its own"
            f" ({with_held:.2f} with removed files still read) | {requests} requests,"
            f" {tiers['memory']['evictions']} and {disk['evictions']} evictions | reach <= 1.10, <= 1.00: {verdict}")
    return {"samples": samples[::5], "peak": peak, "tiers": tiers}, line
