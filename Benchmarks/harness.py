"""What the rows of bench.py share: processes on their cores, the nginx beside, the origin, the load."""

import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time

SIZES = {"1KiB": 1 << 10, "16KiB": 16 << 10, "256KiB": 256 << 10}
TICKS = os.sysconf("SC_CLK_TCK")


class Abort(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Abort(message)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def get(port, path, fields=None):
    """One GET on a connection of its own: status, fields, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=fields or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


class Process:
    """A started program that is ended by its pid, pinned to one core."""

    def __init__(self, name, arguments, core, directory):
        self.name = name
        self.log = os.path.join(directory, "output.log")
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                ["taskset", "-c", str(core), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=directory)

    @property
    def pid(self):
        return self.child.pid  # taskset executes the program in its place

    def await_port(self, port):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            check(self.child.poll() is None, f"{self.name} ended at once:\n{self.output()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Abort(f"{self.name} does not listen on {port}:\n{self.output()}")

    def output(self):
        with open(self.log, "rb") as log:
            return log.read()[-2000:].decode(errors="replace")

    def cpu_seconds(self):
        """utime + stime of the process and its children (nginx's workers), all threads."""
        total, pids = 0, [self.pid]
        while pids:
            pid = pids.pop()
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children") as children:
                        pids += [int(child) for child in children.read().split()]
            except FileNotFoundError:
                check(pid != self.pid, f"{self.name} died:\n{self.output()}")
        return total / TICKS

    def end(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


NGINX_COMMON = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 9000; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
    uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
    {http}
}}
"""


def start_nginx(name, http, core, directory, port):
    os.makedirs(directory)
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w") as file:
        file.write(NGINX_COMMON.format(
            directory=directory, http=http, user="user root;" if os.geteuid() == 0 else ""))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = Process(name, [program, "-p", directory, "-e", f"{directory}/error.log", "-c", path], core, directory)
    process.await_port(port)
    return process


class FileOrigin:
    """The nginx that both caches pull from; it counts its requests."""

    def __init__(self, core, directory):
        self.port, = free_ports(1)
        root = os.path.join(directory, "root")
        os.makedirs(root)
        self.root = root
        self.bodies = {}
        for name, size in SIZES.items():
            self.add(name, size)
        self.process = start_nginx("the origin", f"""
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        root {root};
        add_header Cache-Control "max-age=3600";
        location = /counter {{ stub_status; }}
    }}""", core, os.path.join(directory, "nginx"), self.port)

    def add(self, name, size):
        """One more file, of bytes that only its name gives."""
        self.bodies[name] = hashlib.shake_128(name.encode()).digest(size)
        with open(os.path.join(self.root, name), "wb") as file:
            file.write(self.bodies[name])

    def drop(self, name):
        del self.bodies[name]
        os.remove(os.path.join(self.root, name))

    def requests(self):
        """Requests so far, without those for the counter itself."""
        _, _, body = get(self.port, "/counter")
        total = int(re.search(rb"requests\s+\d+ \d+ (\d+)", body).group(1))
        self.asked = getattr(self, "asked", 0) + 1
        return total - self.asked


class Rockpool:
    name = "rockpool"

    def __init__(self, binary, origin_port, core, directory, more=(), ports=None, awaited=True):
        os.makedirs(directory, exist_ok=True)
        self.port, self.admin = ports or free_ports(2)
        self.cache = os.path.join(directory, "cache")
        self.begin = lambda: Process(self.name, [
            binary, "serve", "--origin", f"http://127.0.0.1:{origin_port}", "--listen", f"127.0.0.1:{self.port}",
            "--admin", f"127.0.0.1:{self.admin}", "--cache-dir", self.cache, "--access-log", "off", *more,
        ], core, directory)
        self.started = time.monotonic()
        self.process = self.begin()
        if awaited:
            self.process.await_port(self.port)

    def end(self):
        self.process.end()

    def restart(self):
        """Ends it and starts it again on the same directory and ports."""
        self.process.end()
        self.process = self.begin()
        self.process.await_port(self.port)

    def tiers(self):
        """The tiers of /status, by name."""
        with open(os.path.join(self.cache, "admin.token")) as file:
            token = file.read().strip()
        status, _, body = get(self.admin, "/status", {"Authorization": f"Bearer {token}"})
        check(status == 200, f"/status: {status}")
        return {tier["name"]: tier for tier in json.loads(body)["tiers"]}

    @staticmethod
    def state(fields):
        """hit, miss, or the whole field where it is neither."""
        field = fields.get("Cache-Status", "no Cache-Status field")
        member = field.rpartition(",")[2].strip()
        if re.match(r"rockpool; hit\b", member):
            return "hit"
        if re.match(r"rockpool; fwd=(uri-miss|miss)\b", member):
            return "miss"
        return field


class Nginx:
    name = "nginx"

    def __init__(self, binary, origin_port, core, directory):
        self.port, = free_ports(1)
        self.process = start_nginx(self.name, f"""
    proxy_cache_path {directory}/cache levels=1:2 keys_zone=zone:128m max_size=8g inactive=1h use_temp_path=off;
    upstream origin {{ server 127.0.0.1:{origin_port}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache zone;
            proxy_cache_lock on;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}""", core, directory, self.port)

    def end(self):
        self.process.end()

    @staticmethod
    def state(fields):
        return {"HIT": "hit", "MISS": "miss"}.get(fields.get("X-Cache"), str(fields.get("X-Cache")))


def verify(server, origin, path, name, expected):
    """The answer is the origin's, byte for byte, and came the way the row claims."""
    status, fields, body = get(server.port, path)
    origin_status, _, origin_body = get(origin.port, path)
    check(origin_status == 200 and origin_body == origin.bodies[name], f"the origin answered {origin_status} to {path}")
    same = hashlib.sha256(body).digest() == hashlib.sha256(origin_body).digest()
    check(status == 200 and same, f"{server.name}: {path}: status {status}, {len(body)} bytes, not the origin's bytes")
    state = server.state(fields)
    check(state == expected, f"{server.name}: {path}: expected a {expected}, got: {state}")


WRK_REQUESTS = {
    "one": """
request = function() return wrk.format("GET", path) end
""",
    "unique": """
local number = 0
request = function()
    number = number + 1
    return wrk.format("GET", path .. number)
end
""",
    "many": """
local requests = {}
init = function()
    math.randomseed(2026)
    for number = 0, count - 1 do requests[number] = wrk.format("GET", path .. number) end
end
request = function() return requests[math.random(0, count - 1)] end
""",
}

WRK_RESULT = """
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format('RESULT {"requests":%d,"bytes":%d,"microseconds":%d,"errors":%d,"p99":%d}\\n',
        summary.requests, summary.bytes, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99)))
end
"""


def wrk(server, path, asked, seconds, core, directory, connections=32, count=1):
    """Load for some seconds. `asked`: one of WRK_REQUESTS, or Lua that defines `request`."""
    script = os.path.join(directory, "load.lua")
    with open(script, "w") as file:
        file.write(f"local path, count = {json.dumps(path)}, {count}\n")
        file.write(WRK_REQUESTS.get(asked, asked) + WRK_RESULT)
    before = server.process.cpu_seconds()
    run = subprocess.run(
        ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script,
         f"http://127.0.0.1:{server.port}{path}"], capture_output=True, text=True, timeout=seconds + 60)
    cpu = server.process.cpu_seconds() - before
    found = re.search(r"^RESULT (.*)$", run.stdout, re.M)
    check(found, f"wrk: {run.stdout}{run.stderr}")
    result = json.loads(found.group(1))
    check(result["requests"] > 0 and result["errors"] == 0, f"{server.name}: {path}: wrk counted errors: {result}")
    wall = result["microseconds"] / 1e6
    return {
        "cpu": cpu / result["requests"] * 1e6, "rate": result["requests"] / wall, "busy": cpu / wall,
        "p99": result["p99"] / 1000, "requests": result["requests"], "bytes": result["bytes"],
    }
