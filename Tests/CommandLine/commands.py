#!/usr/bin/env python3
"""The subcommands of the real binary from outside: what they print, and how they end.

    commands.py --binary .build/release/rockpool [-k Warm] [-v]

A node and a small origin run on free ports of 127.0.0.1 in a temporary folder. Needs Python 3 and nothing else.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from command_places import DEADLINE_SECONDS, Node, Origin, Screen, free_ports

BINARY = None


def setUpModule():
    global ORIGIN, NODE
    ORIGIN = Origin()
    NODE = Node(BINARY, ORIGIN)


def tearDownModule():
    NODE.remove()
    ORIGIN.gate.set()
    ORIGIN.shutdown()


class CommandCase(unittest.TestCase):
    def environment(self, **changes):
        """Without anything of the caller's that a subcommand looks at; with the node's addresses and token."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        known = {
            "ROCKPOOL_ADMIN": NODE.admin, "ROCKPOOL_NODE": NODE.address, "ROCKPOOL_ADMIN_TOKEN": NODE.token,
            "LANG": "C.UTF-8", "TERM": "xterm-256color"}
        return {**kept, **{name: value for name, value in {**known, **changes}.items() if value is not None}}

    def run_command(self, *arguments, code=0, stdin="", **environment):
        """Runs a subcommand in pipes and expects the exit code; gives back its outputs."""
        done = subprocess.run(
            [BINARY, *arguments], input=stdin.encode(), capture_output=True, timeout=DEADLINE_SECONDS,
            env=self.environment(**environment), cwd=NODE.folder)
        out, err = done.stdout.decode(), done.stderr.decode()
        said = f"{' '.join(arguments)}: {done.returncode}\n{out}\n{err}"
        self.assertEqual(done.returncode, code, said)
        self.assertNotIn(NODE.token, out + err)
        self.assertNotIn("\x1b", out + err, said)
        return out, err

    def screen(self, *arguments, columns=80, rows=24, **environment):
        screen = Screen([BINARY, *arguments], self.environment(**environment), columns, rows, NODE.folder)
        self.addCleanup(screen.close)
        return screen

    def list_file(self, text):
        handle, path = tempfile.mkstemp(dir=NODE.folder, suffix=".txt")
        with os.fdopen(handle, "w") as file:
            file.write(text)
        return path


class Usage(CommandCase):
    def test_wrong_usage_is_64_and_says_what_is_right(self):
        for arguments, word in [
                (["purge"], "exactly one of --url, --tag, --prefix, --host and --all"),
                (["purge", "--all", "--tag", "a"], "--tag and --all exclude each other"),
                (["purge", "--any-query", "--tag", "a"], "--url only"),
                (["purge", "--all", "--nonsense"], "nonsense"),
                (["explain"], "url"),
                (["explain", "http://a.example/", "-H", "nonsense"], "Name: value"),
                (["explain", "http://a.example/", "-H", "A: b\nC: d"], "control characters"),
                (["top", "--count", "0"], "at least 1"),
                (["warm"], "FILE"),
                (["warm", "-", "--concurrency", "0"], "1 to"),
                (["warm", "-", "--node", "nonsense"], "http://127.0.0.1:8080"),
                (["warm", "-", "-H", "Host: a.example"], "host comes from each URL"),
                (["status", "--admin", "nonsense"], "http://127.0.0.1:8081"),
                (["status", "--admin", "ftp://127.0.0.1:1"], "http://127.0.0.1:8081"),
                (["nonsense"], "nonsense")]:
            with self.subTest(arguments=arguments):
                out, err = self.run_command(*arguments, code=64)
                self.assertEqual(out, "")
                self.assertIn(word.lower(), err.lower())

    def test_help_tells_the_exit_codes(self):
        for arguments in ([], ["purge"], ["explain"], ["top"], ["warm"], ["status"]):
            out, _ = self.run_command(*arguments, "--help")
            for line in ("0   done", "2   the node cannot be reached", "64  wrong usage", "77  the admin token"):
                self.assertIn(line, out, arguments)

    def test_completions_are_made_and_parse(self):
        for shell in ("bash", "zsh", "fish"):
            out, _ = self.run_command("--generate-completion-script", shell)
            for word in ("purge", "explain", "top", "warm", "any-query", "token-file"):
                self.assertIn(word, out, shell)
            if shutil.which(shell):
                parsed = subprocess.run([shell, "-n"], input=out.encode(), capture_output=True, timeout=60)
                self.assertEqual(parsed.returncode, 0, parsed.stderr)


class Serve(CommandCase):
    def test_a_port_that_is_taken_ends_the_start(self):
        taken = NODE.admin.removeprefix("http://")
        for flag, other in (("--listen", "--admin"), ("--admin", "--listen")):
            with tempfile.TemporaryDirectory() as folder:
                _, err = self.run_command(
                    "serve", "--origin", "http://127.0.0.1:9", flag, taken, other, f"127.0.0.1:{free_ports(1)[0]}",
                    "--cache-dir", folder, code=1)
                self.assertRegex(err, f"cannot listen on {taken}.*: Address already in use\n")

    def test_a_listener_that_cannot_be_says_why(self):
        for host, cause in (("192.0.2.1", "Cannot assign requested address"), ("no-such.invalid", "no address")):
            with tempfile.TemporaryDirectory() as folder:
                _, err = self.run_command(
                    "serve", "--origin", "http://127.0.0.1:9", "--listen", f"{host}:8080",
                    "--admin", f"127.0.0.1:{free_ports(1)[0]}", "--cache-dir", folder, code=1)
                self.assertRegex(err, f"cannot listen on {host}:8080: {cause}")

    def test_whoever_connects_while_it_starts_is_answered(self):
        for _ in range(6):
            port, admin = free_ports(2)
            with tempfile.TemporaryDirectory() as folder:
                node = subprocess.Popen(
                    [BINARY, "serve", "--origin", f"http://127.0.0.1:{ORIGIN.port}", "--listen", f"127.0.0.1:{port}",
                     "--admin", f"127.0.0.1:{admin}", "--cache-dir", folder, "--access-log", "off"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    self.assertTrue(self.first_answer(node, port).startswith(b"HTTP/1.1 200 "))
                finally:
                    node.terminate()
                    node.wait(DEADLINE_SECONDS)

    def first_answer(self, node, port):
        """What the first connection gets that the node takes."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while node.poll() is None and time.monotonic() < deadline:
            try:
                client = socket.create_connection(("127.0.0.1", port), 1)
            except ConnectionRefusedError:
                time.sleep(0.0002)
                continue
            with client:
                client.settimeout(DEADLINE_SECONDS)
                client.sendall(b"GET /early HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
                return client.recv(65536)
        self.fail("the node does not listen")


class Demo(CommandCase):
    SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fixtures", "site")

    def test_what_it_prints_works_as_it_stands(self):
        demo = subprocess.Popen(
            [BINARY, "demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--site", self.SITE],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said = ""
            for line in demo.stdout:
                said += line
                if " purge --url " in line:
                    break
            page = re.search(r"Open +(http://\S+/)", said).group(1)
            with urllib.request.urlopen(f"{page}style.css", timeout=DEADLINE_SECONDS) as answer:
                self.assertIn("stored", answer.headers["Cache-Status"])
            order = "\n".join(line.strip() for line in said.splitlines() if re.match(r"    (export|\S*rockpool) ", line))
            done = subprocess.run(
                ["bash", "-e", "-c", order], capture_output=True, text=True, timeout=DEADLINE_SECONDS,
                env=self.environment(ROCKPOOL_ADMIN=None, ROCKPOOL_ADMIN_TOKEN=None))
            self.assertEqual(done.returncode, 0, said + done.stderr)
            self.assertRegex(done.stdout, r"Now +hit, status 200[^Z]*\n(?:.*\n)*purged url http://")
            dashboard = re.search(r"dashboard is at +(http://\S+/)", said).group(1)
            with urllib.request.urlopen(dashboard, timeout=DEADLINE_SECONDS) as answer:
                self.assertIn(b"<title>Rockpool</title>", answer.read())
        finally:
            demo.terminate()
            demo.wait(DEADLINE_SECONDS)
            demo.stdout.close()


class Reaching(CommandCase):
    """The token, a node that is not there, one that hangs."""

    ADMIN_COMMANDS = [
        ["status"], ["purge", "--tag", "a"], ["explain", "http://www.example.com/"], ["top", "--count", "1"]]

    def test_a_wrong_token_is_77(self):
        for arguments in self.ADMIN_COMMANDS:
            out, err = self.run_command(*arguments, code=77, ROCKPOOL_ADMIN_TOKEN="wrong-token")
            self.assertEqual(out, "")
            self.assertIn("token", err)
            self.assertNotIn("wrong-token", err)

    def test_whoever_guesses_gets_77_and_the_right_token_goes_on_working(self):
        for number in range(13):
            self.run_command("status", code=77, ROCKPOOL_ADMIN_TOKEN=f"guess-{number}")
        self.run_command("status")

    def test_no_token_is_77(self):
        for arguments in self.ADMIN_COMMANDS:
            self.run_command(*arguments, code=77, ROCKPOOL_ADMIN_TOKEN=None)
        self.run_command("status", "--token-file", "/nonexistent", code=77)
        self.run_command("status", code=77, ROCKPOOL_ADMIN_TOKEN="two\nlines")

    def test_a_token_file_beats_the_environment(self):
        self.run_command("status", "--token-file", NODE.token_file, ROCKPOOL_ADMIN_TOKEN="wrong-token")

    def test_an_address_without_a_scheme_is_enough(self):
        self.run_command("status", "--admin", NODE.admin.removeprefix("http://"))

    def test_no_node_is_2(self):
        port, = free_ports(1)
        for arguments in self.ADMIN_COMMANDS:
            _, err = self.run_command(*arguments, "--admin", f"http://127.0.0.1:{port}", code=2)
            self.assertIn("no node answers", err)
        out, err = self.run_command(
            "warm", "-", "--node", f"http://127.0.0.1:{port}", code=2, stdin="http://a.example/\n" * 100)
        self.assertIn("0 of 100 URLs", out)
        self.assertIn("cannot be reached", err)

    def test_a_proxy_of_the_environment_gets_no_token(self):
        port, = free_ports(1)
        self.run_command("status", http_proxy=f"http://127.0.0.1:{port}")

    def test_a_node_that_hangs_is_2_and_holds_no_key_up(self):
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen()
            admin = f"http://127.0.0.1:{deaf.getsockname()[1]}"
            screen = self.screen("top", "--admin", admin)
            screen.read_until(lambda s: s.frames(), "a frame")
            screen.keys("q")
            self.assertEqual(screen.end(seconds=3), 0)
            self.assertTrue(screen.is_restored())
            _, err = self.run_command("status", "--admin", admin, code=2)
            self.assertIn("in time", err)


class Status(CommandCase):
    def test_text(self):
        NODE.fetch("/status/a")
        NODE.fetch("/status/a")
        out, _ = self.run_command("status")
        for word in ("rockpool ", "requests", "memory", "disk", "origin", "from the cache"):
            self.assertIn(word, out)

    def test_new_fields(self):
        NODE.fetch("/status/misses")
        out, _ = self.run_command("status")
        for word in ("latency", "clients", "misses", "purges"):
            self.assertIn(word, out)

    def test_json(self):
        out, _ = self.run_command("status", "--json")
        document = json.loads(out)
        self.assertIn("byOutcome", document["requests"])

    def test_hostile_urls_are_not_sent_raw(self):
        NODE.fetch_raw(b"/hostile/\xc2\x9b31m\xe2\x80\xae")
        for arguments in ([], ["--json"]):
            out, _ = self.run_command("status", *arguments)
            self.assertNotIn("\x9b", out)
            self.assertNotIn("\u202e", out)


class Explain(CommandCase):
    def test_a_hit(self):
        NODE.fetch("/explain/a.css")
        out, _ = self.run_command("explain", "http://www.example.com/explain/a.css")
        for word in ("Now", "hit, status 200", "the origin is not asked", "Were the origin down", "Cache key",
                     "http://www.example.com/explain/a.css", "in memory", "text/css", "max-age", "ETag",
                     "Age", "Variants", "detail=fresh"):
            self.assertIn(word, out)
        self.assertLessEqual(max(map(len, out.splitlines())), 100)

    def test_nothing_stored(self):
        before = len(ORIGIN.requests)
        out, _ = self.run_command("explain", "http://www.example.com/explain/never", "--origin-down")
        self.assertIn("nothing under this key", out)
        self.assertIn("Origin down", out)
        self.assertEqual(len(ORIGIN.requests), before, "explaining asks no origin")

    def test_json_has_what_the_flags_say(self):
        out, _ = self.run_command(
            "explain", "http://www.example.com/explain/x?y=ü&z", "--json", "--head", "--origin-down", "-H",
            "Accept-Encoding: gzip", "-H", "Accept-Language: de")
        document = json.loads(out)
        self.assertEqual(document["method"], "HEAD")
        self.assertIs(document["originDown"], True)

    def test_no_host_is_1(self):
        out, err = self.run_command("explain", "/a.css", code=1)
        self.assertEqual(out, "")
        self.assertIn("400", err)
        out, _ = self.run_command("explain", "/a.css", "--json", code=1)
        self.assertEqual(json.loads(out)["status"], 400)


class Purge(CommandCase):
    SCOPES = [
        ("url", "http://www.example.com/purge/line"), ("tag", "product-9"),
        ("prefix", "http://www.example.com/purge/never/"), ("host", "never.example")]

    def test_one_line_for_each_scope(self):
        for scope, value in self.SCOPES:
            out, _ = self.run_command("purge", f"--{scope}", value)
            self.assertRegex(out, rf"^purged {scope} {value} \(id [0-9a-f]+-[0-9]+\)\n$")
        out, _ = self.run_command("purge", "--tag", "product-9", "--soft")
        self.assertRegex(out, r"^soft-purged tag product-9 \(id \S+\)\n$")
        out, _ = self.run_command("purge", "--url", "http://www.example.com/purge/q", "--any-query")
        self.assertRegex(out, r"^purged url \S+ with any query \(id \S+\)\n$")

    def test_json(self):
        out, _ = self.run_command("purge", "--tag", "product-9", "--json", "--soft")
        document = json.loads(out)
        self.assertEqual((document["scope"], document["value"], document["soft"]), ("tag", "product-9", True))

    def test_what_the_node_refuses_is_1_and_names_the_field(self):
        for scope, value in (("url", "/a"), ("tag", "two words"), ("prefix", "nonsense")):
            out, err = self.run_command("purge", f"--{scope}", value, code=1)
            self.assertEqual(out, "")
            self.assertIn("400", err)
            self.assertIn(f"`{scope}`", err)
        out, _ = self.run_command("purge", "--url", "/a", "--json", code=1)
        self.assertEqual(json.loads(out)["field"], "url")


class PurgeEffect(CommandCase):
    """That what was purged is gone: in the node, not in what the command says."""

    def test_each_scope(self):
        for arguments in (["--url", "http://www.example.com/effect/tagged?a"], ["--tag", "product-1"],
                          ["--prefix", "http://www.example.com/effect/"], ["--host", "www.example.com"],
                          ["--all"], ["--url", "http://www.example.com/effect/tagged", "--any-query"]):
            NODE.fetch("/effect/tagged?a")
            self.assertIn("; hit", NODE.fetch("/effect/tagged?a")[1])
            self.run_command("purge", *arguments)
            self.assertIn("fwd=", NODE.fetch("/effect/tagged?a")[1], arguments)

    def test_soft_is_validated(self):
        NODE.fetch("/effect/soft")
        self.run_command("purge", "--url", "http://www.example.com/effect/soft", "--soft")
        self.assertNotIn("detail=fresh", NODE.fetch("/effect/soft")[1])
        out, _ = self.run_command("status", "--json")
        self.assertEqual(json.loads(out)["purges"]["recent"][0]["soft"], True)


class Top(CommandCase):
    def check_frames(self, screen, columns, rows, start=0):
        frames = screen.frames(start)
        self.assertTrue(frames)
        for frame in frames:
            self.assertLessEqual(len(frame), rows)
            for line in frame:
                self.assertLessEqual(len(line), columns, line)
                self.assertTrue(line.isprintable(), ascii(line))

    def test_lines_in_a_pipe(self):
        out, _ = self.run_command("top", "--count", "2")
        lines = out.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("req/s", lines[1])
        self.assertIn("hit ratio", lines[1])

    def test_json_lines(self):
        out, _ = self.run_command("top", "--json", "--count", "2")
        first, second = map(json.loads, out.splitlines())
        self.assertIn("version", first["status"])
        self.assertIn("total", second["requestsPerSecond"])

    def test_a_reader_that_goes_ends_it(self):
        child = subprocess.Popen(
            [BINARY, "top"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
        child.stdout.readline()
        child.stdout.close()
        self.assertEqual(child.wait(DEADLINE_SECONDS), 0)
        child.stderr.close()

    def test_the_screen_fits_and_follows_the_terminal(self):
        NODE.fetch_raw(b"/hostile/\xc2\x9b31m" + b"long/" * 60)
        screen = self.screen("top")
        screen.read_until(lambda s: any("Requests" in line for f in s.frames() for line in f), "the requests")
        self.check_frames(screen, 80, 24)
        self.assertEqual(len(screen.frames()[-1]), 24)
        for columns, rows in ((132, 50), (40, 12)):
            start = len(screen.output)
            screen.resize(columns, rows)
            screen.read_until(
                lambda s: any(len(frame) == rows for frame in s.frames(start)), f"a frame of {rows} rows")
            fitting = [frame for frame in screen.frames(start) if len(frame) == rows]
            for line in fitting[0]:
                self.assertLessEqual(len(line), columns)
        screen.keys("q")
        self.assertEqual(screen.end(), 0)
        self.assertTrue(screen.is_restored(), screen.output[-300:])

    def test_each_end_leaves_the_terminal_as_it_was(self):
        def ctrl_c(screen):
            screen.keys("\x03")
        for end in (lambda s: s.keys("q"), ctrl_c, lambda s: s.signal(signal.SIGTERM),
                    lambda s: s.signal(signal.SIGINT), lambda s: s.signal(signal.SIGHUP)):
            screen = self.screen("top")
            screen.read_until(lambda s: len(s.frames()) >= 2, "two frames")
            self.assertFalse(screen.is_restored())
            end(screen)
            self.assertEqual(screen.end(), 0)
            self.assertTrue(screen.is_restored(), screen.output[-300:])

    def test_a_wrong_token_leaves_the_terminal_as_it_was(self):
        screen = self.screen("top", ROCKPOOL_ADMIN_TOKEN="wrong-token")
        self.assertEqual(screen.end(), 77)
        self.assertTrue(screen.is_restored())
        self.assertIn(b"token", screen.output[screen.output.rfind(b"\x1b[?1049l"):])

    def test_it_stops_and_goes_on(self):
        screen = self.screen("top")
        screen.read_until(lambda s: s.frames(), "a frame")
        screen.keys("\x1a")
        screen.read_until(lambda s: b"\x1b[?1049l" in s.output, "the terminal given back")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while os.waitid(os.P_PID, screen.child.pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG) is None:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertTrue(screen.is_restored())
        start = len(screen.output)
        screen.signal(signal.SIGCONT)
        screen.read_until(lambda s: s.frames(start), "a frame again")
        screen.keys("q")
        self.assertEqual(screen.end(), 0)
        self.assertTrue(screen.is_restored())

    def test_a_node_that_goes_and_comes_back(self):
        node = Node(BINARY, ORIGIN)
        self.addCleanup(node.remove)
        screen = self.screen(
            "top", columns=100, rows=30, ROCKPOOL_ADMIN=node.admin, ROCKPOOL_ADMIN_TOKEN=node.token)

        def shows(word, start):
            return lambda s: any(word in line for frame in s.frames(start) for line in frame)
        screen.read_until(shows("Requests", 0), "the requests")
        node.kill()
        start = len(screen.output)
        screen.read_until(shows("NO ANSWER", start), "that the node does not answer")
        self.check_frames(screen, 100, 30)
        node.start()
        start = len(screen.output)
        screen.read_until(
            lambda s: s.frames(start) and "NO ANSWER" not in s.frames(start)[-1][1], "that it is back")
        screen.keys("q")
        self.assertEqual(screen.end(), 0)


class Warm(CommandCase):
    def test_the_report_groups_what_came(self):
        base = f"http://warm{time.monotonic_ns()}.example"
        text = (f"# a list\n\n{base}/one\r\n  {base}/two?q  \n{base}/unkept\n{base}/missing\n{base}/broken\n"
                f"not a url\n{base}:81/three#part\n{base}/caf\u00e9\n")
        out, err = self.run_command("warm", self.list_file(text), code=1)
        self.assertRegex(out, r"(?m)^7 of 7 URLs in ")
        self.assertRegex(out, r"(?m)^stored +4$")
        self.assertRegex(out, r"(?m)^not stored +1$")
        self.assertRegex(out, r"(?m)^    no-store +1$")
        self.assertRegex(out, r"(?m)^failed +2$")
        self.assertRegex(out, r"(?m)^    status 404 +1$")
        self.assertIn("broke off", out)
        self.assertIn("line 8: ", out)
        self.assertIn("7 of 7", err)
        self.assertNotIn("\r", out + err)
        host = base.removeprefix("http://")
        seen = [(name, path) for name, path, _ in ORIGIN.requests if name and name.startswith(host)]
        self.assertIn((host, "/two?q"), seen)
        self.assertIn((host + ":81", "/three"), seen)
        self.assertIn((host, "/caf%C3%A9"), seen)
        self.assertIn("; hit", NODE.fetch("/one", host=host)[1], "what was warmed is a hit")

        out, _ = self.run_command("warm", "-", stdin=f"{base}/one\n{base}/two?q\n")
        self.assertRegex(out, r"(?m)^already there +2$")
        self.assertRegex(out, r"(?m)^    fresh +2$")

    def test_json(self):
        base = f"http://json{time.monotonic_ns()}.example"
        out, err = self.run_command("warm", "-", "--json", code=1, stdin=f"{base}/a\n{base}/unkept\nfoo\n")
        document = json.loads(out)
        self.assertEqual(err, "")
        self.assertEqual((document["urls"], document["done"], document["notTried"]), (2, 2, 0))
        self.assertEqual((document["stored"]["count"], document["notStored"]["count"]), (1, 1))
        self.assertEqual(document["notStored"]["reasons"][0]["reason"], "no-store")
        self.assertEqual(document["wrongLines"][0]["line"], 3)

    def test_the_listener_is_found_in_the_status(self):
        base = f"http://found{time.monotonic_ns()}.example"
        out, _ = self.run_command("warm", "-", stdin=f"{base}/a\n", ROCKPOOL_NODE=None)
        self.assertRegex(out, r"(?m)^stored +1$")
        out, _ = self.run_command(
            "warm", "-", "--json", "--admin", NODE.admin, "--token-file", NODE.token_file, stdin=f"{base}/a\n",
            ROCKPOOL_NODE=None, ROCKPOOL_ADMIN=None, ROCKPOOL_ADMIN_TOKEN=None)
        self.assertEqual(json.loads(out)["node"], NODE.address)

    def test_a_listener_that_is_not_found_is_asked_for(self):
        port, = free_ports(1)
        for changes, code in (
                ({"ROCKPOOL_ADMIN": f"http://127.0.0.1:{port}"}, 2), ({"ROCKPOOL_ADMIN_TOKEN": "wrong-token"}, 77)):
            out, err = self.run_command(
                "warm", "-", code=code, stdin="http://a.example/\n", ROCKPOOL_NODE=None, **changes)
            self.assertEqual(out, "")
            self.assertIn("--node http://HOST:PORT", err)
            self.assertIn("ROCKPOOL_NODE", err)
            self.assertEqual(err.count("\n"), 1)

    def test_an_empty_list_is_done(self):
        self.run_command("warm", "-", stdin="# nothing\n")

    def test_a_file_that_is_not_there_is_1(self):
        self.run_command("warm", "/nonexistent", code=1)
        self.run_command("warm", NODE.folder, code=1)

    def test_a_pipe_that_has_a_name_is_a_file(self):
        reads, writes = os.pipe()
        os.write(writes, f"http://pipe{time.monotonic_ns()}.example/\n".encode())
        os.close(writes)
        done = subprocess.run(
            [BINARY, "warm", f"/dev/fd/{reads}"], capture_output=True, timeout=DEADLINE_SECONDS,
            env=self.environment(), pass_fds=[reads])
        os.close(reads)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout.decode(), r"(?m)^stored +1$")

    def test_fields_go_with_every_request(self):
        base = f"http://fields{time.monotonic_ns()}.example"
        self.run_command("warm", "-", "-H", "Accept-Encoding: gzip", "-H", "X-Empty:", stdin=f"{base}/a\n")
        fields = [fields for name, _, fields in ORIGIN.requests if f"http://{name}" == base][0]
        self.assertEqual(fields.get("Accept-Encoding"), "gzip")

    def test_no_more_at_a_time_than_asked(self):
        base = f"http://bound{time.monotonic_ns()}.example"
        ORIGIN.gate.clear()
        with ORIGIN.lock:
            ORIGIN.most_active = 0
        child = subprocess.Popen(
            [BINARY, "warm", "-", "--concurrency", "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self.environment())
        child.stdin.write("".join(f"{base}/gated/{number}\n" for number in range(30)).encode())
        child.stdin.close()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while ORIGIN.active < 3:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        ORIGIN.gate.set()
        out = child.stdout.read().decode()
        self.assertEqual(child.wait(DEADLINE_SECONDS), 0, child.stderr.read())
        child.stdout.close()
        child.stderr.close()
        self.assertIn("30 of 30", out)
        self.assertEqual(ORIGIN.most_active, 3)

    def test_an_interrupt_ends_it_with_the_report_so_far(self):
        host = f"stop{time.monotonic_ns()}.example"
        base = f"http://{host}"
        ORIGIN.gate.clear()
        urls = [f"{base}/{number}" for number in range(10)] + [f"{base}/gated/{n}" for n in range(10)]
        child = subprocess.Popen(
            [BINARY, "warm", self.list_file("\n".join(urls)), "--json", "--concurrency", "2"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
        deadline = time.monotonic() + DEADLINE_SECONDS
        # The first ten are done when the two places are taken by others.
        while sum(asked[0] == host and "gated" in asked[1] for asked in list(ORIGIN.requests)) < 2:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=DEADLINE_SECONDS)
        ORIGIN.gate.set()
        self.assertEqual(child.returncode, 1)
        document = json.loads(out)
        self.assertEqual(document["brokenOff"], "interrupted")
        self.assertEqual((document["done"], document["notTried"]), (10, 10))

    def test_a_bar_on_a_terminal(self):
        base = f"http://bar{time.monotonic_ns()}.example"
        urls = self.list_file("".join(f"{base}/{number}\n" for number in range(200)))
        for columns in (80, 30):
            screen = self.screen("warm", urls, columns=columns)
            self.assertEqual(screen.end(DEADLINE_SECONDS), 0)
            bars = [part.split(b"\x1b[K")[0] for part in screen.output.split(b"\r") if b" %  " in part]
            self.assertTrue(bars, screen.output)
            for bar in bars:
                self.assertLess(len(bar), columns)
            self.assertIn(b"100 %", bars[-1])
            self.assertIn(b"[####", bars[-1] if columns == 80 else b"[####")
            self.assertIn(b"200 of 200 URLs", screen.output)

    def test_an_origin_that_is_down_is_told(self):
        class Nowhere:
            port, = free_ports(1)
        node = Node(BINARY, Nowhere)
        self.addCleanup(node.remove)
        out, _ = self.run_command(
            "warm", "-", code=1, stdin="http://www.example.com/a\nhttp://www.example.com/b\n",
            ROCKPOOL_NODE=node.address)
        self.assertIn("(connection_refused) status 502", out)
        self.assertRegex(out, r"(?m)^failed +2$")


def main():
    global BINARY
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", required=True, help="the rockpool binary")
    options, rest = parser.parse_known_args()
    BINARY = os.path.abspath(options.binary)
    unittest.main(module=sys.modules[__name__], argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
