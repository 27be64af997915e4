"""The node of the crash suite as a process, and what happens to its files while it is dead."""

import os
import shutil
import signal
import socket
import subprocess
import time

from crash_client import Wire
from crash_origin import KIB

START_SECONDS = 20
UNTOUCHED = {"admin.token", "node.id", "lock"}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Node:
    """A started node; it dies with this process."""

    def __init__(self, mode):
        self.mode = mode
        self.port, self.admin = free_ports(2)
        arguments = [
            mode.binary, "serve", "--origin", f"http://127.0.0.1:{mode.origin.port}",
            "--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}",
            "--cache-dir", mode.directory, "--memory", f"{mode.memory // KIB}KiB",
            "--disk", f"{mode.disk // KIB}KiB", "--access-log", "off"]
        if shutil.which("setpriv"):
            arguments = ["setpriv", "--pdeathsig", "KILL", *arguments]
        with open(mode.log, "ab") as log:
            log.write(f"--- {' '.join(arguments)}\n".encode())
            log.flush()
            self.started = time.monotonic()
            self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def await_ready(self):
        """Whether /readyz says yes in time."""
        deadline = self.started + START_SECONDS
        while time.monotonic() < deadline and self.child.poll() is None:
            wire = Wire(self.admin, timeout=2)
            answer = wire.exchange("GET", "/readyz")
            wire.close()
            if answer.status == 200:
                return True
            time.sleep(0.005)
        return False

    def kill(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def drain(self):
        """SIGTERM; whether it ended by itself, and well."""
        self.child.terminate()
        try:
            return self.child.wait(30) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def died(self):
        """What it said last where it ended by itself; None where it runs."""
        if self.child.poll() is None:
            return None
        with open(self.mode.log, "rb") as log:
            said = log.read()[-1500:].decode(errors="replace")
        return f"the node ended by itself, code {self.child.returncode}; its last words:\n{said}"


class Damage:
    """What bad disks and bad people do to the files of a cache directory; says what it did."""

    def __init__(self, directory, rng):
        self.directory, self.rng = directory, rng

    def files(self):
        found = []
        for folder, _, names in os.walk(self.directory):
            for name in sorted(set(names) - UNTOUCHED):
                path = os.path.join(folder, name)
                if os.path.isfile(path) and os.path.getsize(path):
                    found.append(path)
        return sorted(found)

    def position(self, file, length):
        """An offset, rather where something was written than in reserved space."""
        for _ in range(40):
            at = self.rng.randrange(length)
            file.seek(at & ~4095)
            if file.read(4096).strip(b"\0"):
                break
        return at

    def inflict(self):
        done = []
        for _ in range(self.rng.randrange(2, 7)):
            kind = self.rng.choice([
                self.flip, self.flip, self.truncate, self.append, self.cut, self.copy, self.add, self.delete])
            files = self.files()
            if not files:
                return done or ["nothing there to damage"]
            path = self.rng.choice(files)
            with open(path, "r+b") as file:
                said = kind(file, path, os.path.getsize(path))
            done.append(f"{os.path.relpath(path, self.directory)} {said}")
        return done

    def flip(self, file, path, length):
        count = self.rng.choice([1, 1, 8, 200])
        for _ in range(count):
            at = self.position(file, length)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << self.rng.randrange(8))]))
        return f"{count} bits flipped"

    def truncate(self, file, path, length):
        at = self.position(file, length)
        file.truncate(at)
        return f"truncated to {at}"

    def append(self, file, path, length):
        garbage = self.rng.randbytes(self.rng.randrange(1, 20_000))
        file.seek(length)
        file.write(garbage)
        return f"{len(garbage)} bytes longer"

    def cut(self, file, path, length):
        count = min(length, self.rng.randrange(1, 5000))
        file.truncate(length - count)
        return f"{count} bytes cut"

    def copy(self, file, path, length):
        """A write that went to the wrong place: a valid page over another one."""
        source = self.rng.choice(self.files())
        with open(source, "rb") as other:
            start = self.position(other, os.path.getsize(source)) & ~4095
            other.seek(start)
            page = other.read(4096)
        target = self.position(file, length) & ~4095
        file.seek(target)
        file.write(page)
        return f"page {start} of {os.path.basename(source)} copied to {target}"

    def add(self, file, path, length):
        root, extension = os.path.splitext(path)
        name = self.rng.choice([root + "x" + extension, root + "9" + extension, path + ".tmp", path + "~"])
        with open(name, "wb") as foreign:
            foreign.write(self.rng.choice([b"", self.rng.randbytes(5000), file.read(100_000)]))
        return f"beside a foreign {os.path.basename(name)}"

    def delete(self, file, path, length):
        os.remove(path)
        return "deleted"
