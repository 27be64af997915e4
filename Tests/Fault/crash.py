#!/usr/bin/env python3
"""kill -9 at any instant: a node comes back with all that was complete for a second, and no wrong byte.

    python3 Tests/Fault/crash.py --binary .build/release/rockpool --rounds 12 [--seed N]

A round loads the node with clients that compare every byte, kills it (SIGKILL), takes the origin away, starts
the node again on the same cache directory and asks for every URL. What must be there, and what may come:

  - a 200, 206, 304 or 416 is exact for a version that was current during the request. After a restart, one
    that a POST replaced more than 1.2 s before the kill must not come; within that time either may.
  - a URL whose current version a client received whole more than 1.2 s before the kill must be answered, as
    long as the store cannot have been full (`--expect-all`). A response whose Cache-Status says neither `hit`
    nor `stored` does not count; the line of the round shows how many those were ("unkept").
  - everything else may be 502, 503 or 504.
  - while the node and the origin run, no answer breaks off, except where a POST came in its middle.

In some rounds the node is killed again while it starts, and in some the files of the cache directory are
damaged between the kill and the restart: flipped bits, cut, longer, overwritten or missing files, a foreign
file. Then only wrong bytes and a node that does not start count; an old version that comes back is shown
("old"), because a journal that was cut off or removed cannot be told from a shorter one.

Without `--disk` half of the rounds have a large disk, where everything is expected, and half a small one,
where only wrong bytes count. One seed makes all choices; timing stays the machine's. `--prove` shows that the
suite can see: an origin that lies (a changed byte, a missing byte, an old version after a POST) and an
emptied directory must each make it fail; it exits 0 when they did.
"""

import argparse
import dataclasses
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

from crash_client import Client, Ledger, Wire, random_range
from crash_node import START_SECONDS, Damage, Node
from crash_origin import KIB, MIB, Content, Origin

UNITS = {"KiB": KIB, "MiB": MIB, "GiB": MIB << 10}
EXPECT_ALL_FROM = 256 * MIB


class HardLimit(Exception):
    pass


def size(text):
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text}: not a size such as 64MiB")
    return int(match.group(1)) * UNITS[match.group(2)]


@dataclasses.dataclass
class Plan:
    """What a round does; drawn from the seed."""
    load: str
    restart: str
    ending: str


def plans(rng, count, is_small):
    """Every six rounds have each kind once. The first is a plain one, so that there is something to lose;
    damage comes late where it ends what can be expected, and twice where nothing is expected anyway."""
    drawn = []
    while len(drawn) < count:
        others = [("large", "plain"), ("early", "plain"), ("large", "again"), ("any", "plain")]
        rng.shuffle(others)
        damaged = ("any", "damage")
        cycle = [("late", "plain"), *others[:3], damaged, others[3]]
        if is_small:
            cycle[2] = damaged
        endings = ["go on", "go on", "term", "kill"]
        drawn += [Plan(load, restart, rng.choice(endings)) for load, restart in cycle]
    return drawn[:count]


class Mode:
    """Rounds on one cache directory, with an origin and a ledger of their own."""

    def __init__(self, options, name, seed, disk, expect_all, lie=None):
        self.name, self.seed, self.disk, self.expect_all, self.lie = name, seed, disk, expect_all, lie
        self.binary, self.memory, self.seconds = options.binary, options.memory, options.seconds_per_round
        self.work = os.path.join(options.work, name)
        self.generation = 0
        self.content = Content(seed)
        self.node = None
        self.first_hits = []
        self.rounds = self.checked = 0
        self.log = os.path.join(self.work, "node.log")
        self.fresh_directory()
        self.origin = Origin(self.content, lie)
        self.ledger = Ledger(self.content, self.origin.versions)
        self.order("up")

    def order(self, word):
        self.origin.order(word)
        self.ledger.origin_is_up = word == "up"

    def fresh_directory(self):
        self.generation += 1
        self.directory = os.path.join(self.work, f"cache-{self.generation}")
        os.makedirs(self.directory)
        self.filled_before = self.origin.filled.value if self.generation > 1 else 0

    def needs_fresh_directory(self, plan):
        """Why no more can be expected of this one; None where it can."""
        if self.origin.filled.value - self.filled_before > 0.6 * self.disk:
            return "0.6 of the disk was written, and soon anything may be evicted"
        if plan.load == "late" and self.ledger.suspect:
            return "what the damage left has been tried"
        return None

    def end(self):
        if self.node:
            self.node.kill()
        self.origin.end()

    def start(self):
        self.node = Node(self)
        self.ledger.killed_at = None

    def await_ready(self):
        if self.node.await_ready():
            return True
        self.ledger.report(
            "start", self.node.died() or f"the node was not ready in {START_SECONDS} s, see {self.log}")
        return False

    def run(self, count):
        rng = random.Random(f"rounds {self.seed}")
        for number, plan in enumerate(plans(rng, count, not self.expect_all), 1):
            wrong = self.ledger.wrong_count
            went_on = self.round(number, plan, rng)
            self.rounds += 1
            if self.ledger.wrong_count > wrong + 200 or not went_on:
                print(f"  {self.name}: stopped after round {number}")
                return

    def round(self, number, plan, rng):
        """One round; false where no other can follow."""
        ledger = self.ledger
        wrong = ledger.wrong_count
        ledger.clear_counts()
        if self.expect_all and (reason := self.needs_fresh_directory(plan)):
            if self.node:
                self.node.kill()
                self.node = None
            self.fresh_directory()
            ledger.forget()
            ledger.suspect.clear()
            print(f"  {self.name}: {reason}; a fresh directory")
        if not self.node:
            self.start()
            if not self.await_ready():
                return False
        if not self.await_origin():
            return False
        killed_after = self.load(plan, f"{self.seed} {number}", rng)
        load_counts = (ledger.asked, ledger.refused, ledger.unkept)
        self.killed_at = ledger.killed_at
        must = ledger.survive(self.killed_at)
        self.order("down")
        former_floor = list(ledger.floor)
        notes = []
        if self.lie == "lost":
            shutil.rmtree(self.directory)
            os.makedirs(self.directory)
        if plan.restart == "damage":
            ledger.forget()
            must = {}
            notes = Damage(self.directory, rng).inflict()
        if plan.restart == "again":
            self.start()
            time.sleep(rng.uniform(0, 0.25))
            if said := self.node.died():
                ledger.report("start", said)
            self.node.kill()
        self.start()
        if not self.expect_all:
            must = {}
        first_hit = self.first_hit(must)
        if first_hit is not None:
            self.first_hits.append(first_hit)
        ready = self.await_ready()
        kept = self.check(must, rng, former_floor) if ready else 0
        if said := self.node.died():
            ledger.report("start", said)
            ready = False
        used = sum(
            os.stat(os.path.join(folder, name)).st_blocks * 512
            for folder, _, names in os.walk(self.directory) for name in names)
        asked, refused, unkept = load_counts
        print(
            f"  {self.name} {number:2} seed {self.seed} {plan.load + '/' + plan.restart:12}"
            f" killed after {killed_after * 1000:5.0f} ms:"
            f" loaded {asked} ({refused} refused, {unkept} unkept);"
            f" kept {kept} of {len(must)}, {ledger.verified - self.verified_before} right of"
            f" {ledger.asked - asked} asked;"
            f" first hit {'-' if first_hit is None else f'{first_hit * 1000:.0f} ms'};"
            f" disk {used / MIB:.1f} MiB;" + (f" old {ledger.old};" if ledger.old else "")
            + f" wrong {ledger.wrong_count - wrong}", flush=True)
        if notes:
            print("      damage: " + "; ".join(notes), flush=True)
        self.checked += len(must)
        if not ready:
            return False
        self.order("up")
        if plan.ending != "go on":
            if plan.ending == "kill":
                self.node.kill()
            elif not self.node.drain():
                ledger.report("start", "SIGTERM did not end the node, or with a code that is not 0")
            self.node = None
        return True

    def await_origin(self):
        """Waits until the node pulls: an origin that was out stays out for its back-off."""
        wire = Wire(self.node.port)
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            answer = wire.exchange("GET", "/")
            if answer.status == 404:
                wire.close()
                return True
            time.sleep(0.02)
        self.ledger.report("broken", "40 s after the origin came up the node does not pull from it", answer)
        return False

    def load(self, plan, seed, rng):
        """Clients until the kill; how long that was."""
        ledger, stop = self.ledger, threading.Event()
        windows = {"early": (0, 0.3), "late": (1.5, 1.5 + self.seconds)}
        wait = rng.uniform(*windows.get(plan.load, (0.3, 1.7 * self.seconds)))
        clients = [
            Client(ledger, self.node.port, random.Random(f"{seed} {number}"), stop, plan.load == "large")
            for number in range(6)]
        begun = time.monotonic()
        try:
            for client in clients:
                client.start()
            time.sleep(wait)
            deadline = time.monotonic() + 1
            while plan.load == "large" and ledger.in_flight < 3 and time.monotonic() < deadline:
                time.sleep(0.001)
            if said := self.node.died():
                ledger.report("died", said)
            ledger.killed_at = time.monotonic()
            self.node.kill()
        finally:
            stop.set()
            for client in clients:
                client.join(30)
        ledger.in_flight = 0
        self.verified_before = ledger.verified
        if any(client.is_alive() for client in clients):
            ledger.report("suite", "a client did not end")
        if not ledger.verified and wait > 0.3:
            ledger.report("suite", "no answer could be checked under load: nothing was tested")
        return ledger.killed_at - begun

    def first_hit(self, must):
        """Seconds from the start of the process to the first stored answer; None where there was none."""
        specs = self.content.specs
        wanted = sorted(must, key=lambda key: specs[key[0]].base)[:20]
        wanted = wanted or [(spec.number, "plain") for spec in specs]
        wire = Wire(self.node.port, timeout=5)
        try:
            refused = 0
            while time.monotonic() < self.node.started + START_SECONDS and self.node.child.poll() is None:
                number, variant = wanted[refused % len(wanted)]
                answer = wire.exchange("GET", specs[number].path, accept(variant))
                if answer.status == 200:
                    return time.monotonic() - self.node.started
                if answer.status:
                    refused += 1
                    if refused >= len(wanted) and (not must or time.monotonic() > self.node.started + 2):
                        return None
                if answer.status == 0 or refused >= len(wanted):
                    time.sleep(0.003)
            return None
        finally:
            wire.close()

    def check(self, must, rng, former_floor):
        """Asks for everything with the origin down; how many of `must` were answered."""
        ledger, kept, lost = self.ledger, 0, []
        keys = [(spec, variant) for spec in self.content.specs for variant in spec.variants]
        rng.shuffle(keys)
        wire = Wire(self.node.port)
        deadline = time.monotonic() + 120
        for spec, variant in keys:
            ranged = rng.random() < 0.5
            for fields in [[("Range", random_range(rng, spec))], []] if ranged else [[]]:
                if time.monotonic() > deadline or self.node.child.poll() is not None:
                    ledger.report("hang", "the node ended, or two minutes were not enough for every URL")
                    return kept
                begun = ledger.begin(spec)
                fields = [*accept(variant), *fields]
                answer = wire.exchange("GET", spec.path, fields)
                version = ledger.judge(spec, variant, fields, answer, begun, post_floor=former_floor)
            key = (spec.number, variant)
            if version is not None and answer.is_whole:
                kept += key in must
                ledger.keep(spec, variant, version, begun, answer.fields.get("cache-status", ""))
            else:
                if key in must:
                    lost.append((spec, variant, answer))
                ledger.received.pop(key, None)
        for number, (spec, variant, answer) in enumerate(lost):
            later = ""
            if number < 2:
                time.sleep(1)
                again = wire.exchange("GET", spec.path, accept(variant))
                later = f"; a second later {again.status}"
            when, current, status = must[spec.number, variant]
            ledger.report(
                "lost", f"{spec.path} {variant} version {current}, {spec.size(current)} bytes, first received"
                f" {self.killed_at - when:.2f} s before the kill as “{status}”, is not answered{later}",
                answer)
        wire.close()
        return kept


def accept(variant):
    return [("Accept-Encoding", "gzip")] if variant == "gzip" else []


def run_modes(options, modes):
    """Runs (name, disk, expect_all, rounds, lie) one after the other; the wrong answers and totals."""
    wrong, count, checked, hits = [], 0, 0, []
    for number, (name, disk, expect_all, rounds, lie) in enumerate(modes):
        os.makedirs(os.path.join(options.work, name))
        mode = Mode(options, name, f"{options.seed}-{number}", disk, expect_all, lie)
        try:
            mode.run(rounds)
        finally:
            mode.end()
        wrong += [f"[{name}] {one}" for one in mode.ledger.wrong]
        count += mode.ledger.wrong_count
        for what, times in mode.ledger.remarks.most_common(6):
            print(f"  {name}: {times} × {what}")
        checked += mode.checked
        hits += mode.first_hits
    return wrong, count, checked, hits


def prove(options):
    """Whether every kind of lie makes the suite fail, and for the right reason."""
    blind = []
    expected = {"byte": "wrong bytes", "short": "instead of", "old": "it may be", "lost": "is not answered"}
    for lie, words in expected.items():
        print(f"the lie: {lie}", flush=True)
        wrong, count, _, _ = run_modes(options, [(lie, 512 * MIB, True, 2, lie)])
        seen = [one for one in wrong if words in one]
        print(f"  seen: {count} wrong answers, for instance {seen[0]}" if seen else "  NOT SEEN", flush=True)
        if not seen:
            blind.append(lie)
    print(f"proof: the suite does not see {', '.join(blind)}" if blind else "proof: every lie was seen")
    return 1 if blind else 0


def suite(options):
    expect_all = options.expect_all
    if options.disk:
        if expect_all is None:
            expect_all = options.disk >= EXPECT_ALL_FROM
        modes = [("disk", options.disk, expect_all, options.rounds, None)]
    else:
        half = options.rounds // 2
        modes = [
            ("large", 512 * MIB, expect_all is not False, options.rounds - half, None),
            ("small", 16 * MIB, False, half, None)]
    wrong, count, checked, hits = run_modes(options, [mode for mode in modes if mode[3]])
    slowest = f"{max(hits) * 1000:.0f} ms" if hits else "never"
    print(f"{options.rounds} rounds, seed {options.seed}: {checked} stored responses had to be there;"
          f" first hit after the start at most {slowest}; {count} wrong")
    for number, one in enumerate(wrong[:12], 1):
        print(f"{number:4}. {one}")
    if count:
        print(f"FAILED. Again: --seed {options.seed} --rounds {options.rounds}. Files: {options.work}")
    else:
        print("passed")
    return 1 if count else 0


def interrupted(signum, _):
    if signum == signal.SIGALRM:
        raise HardLimit
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, which is printed")
    parser.add_argument("--disk", type=size, help="one mode with this disk; default: a large and a small one")
    parser.add_argument("--memory", type=size, default=32 * MIB)
    parser.add_argument("--seconds-per-round", type=float, default=1.5)
    parser.add_argument(
        "--expect-all", action=argparse.BooleanOptionalAction,
        help="what was complete for 1.2 s must be kept; on from a disk of 256MiB")
    parser.add_argument("--keep", action="store_true", help="keep the directory also when all went well")
    parser.add_argument("--prove", action="store_true", help="lie, and see whether the suite fails")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    options.binary = os.path.abspath(options.binary)
    if not os.access(options.binary, os.X_OK):
        parser.error(f"{options.binary}: not a program")
    options.work = tempfile.mkdtemp(prefix="rockpool-crash-")
    rounds = 8 if options.prove else options.rounds
    limit = int(120 + rounds * (2 * options.seconds_per_round + 30))
    print(f"seed {options.seed}, files in {options.work}, hard limit {limit} s", flush=True)
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(one, interrupted)
    signal.setitimer(signal.ITIMER_REAL, limit)
    sys.setswitchinterval(0.0005)  # many clients, short turns
    code = 1
    try:
        code = prove(options) if options.prove else suite(options)
    except HardLimit:
        print(f"FAILED: the hard limit of {limit} s passed; seed {options.seed}, files: {options.work}")
    except KeyboardInterrupt:
        code = 130
        print(f"interrupted; seed {options.seed}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not options.keep and (code == 0 or code == 130 or options.prove):
            shutil.rmtree(options.work, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
