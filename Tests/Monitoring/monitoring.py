"""Tests of what a node says of itself: metrics, status, alerts, dashboard (here) and access log (access_log.py).

    python3 Tests/Monitoring/monitoring.py --binary .build/release/rockpool

Needs promtool (Debian's `prometheus`). Exit code 0 where everything is as it should be.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import access_log
import reloading
from monitoring_node import Failure, Node, Origin, check, until

HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED = os.path.join(HERE, "..", "..", "edge-config", "monitoring")
# Families that a node has once it was purged, or could be.
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text):
        self.samples, self.types, self.helps = [], {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.types[name] = kind
            elif line.startswith("# HELP "):
                _, _, name, said = line.split(" ", 3)
                self.helps[name] = said
            else:
                match = SAMPLE.fullmatch(line)
                check(match, f"not a sample: {line}")
                labels = dict(LABEL.findall(match[2] or ""))
                self.samples.append((match[1], labels, float(match[3])))

    def value(self, name, **labels):
        """The sum over the samples that have these labels."""
        return sum(v for n, l, v in self.samples if n == name and all(l.get(k) == w for k, w in labels.items()))

    def family(self, name):
        stem = re.sub(r"_(bucket|sum|count)$", "", name)
        return stem if self.types.get(stem) in ("histogram", "summary") else name


def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def same(found, wanted, what):
    check(found == wanted, f"{what}: {found}, not {wanted}")


def check_metrics_format(text):
    code, said = promtool("check", "metrics", text=text)
    check(code == 0 and not said, f"promtool check metrics: {code}\n{said}")
    metrics = Metrics(text)
    for name, _, _ in metrics.samples:
        family = metrics.family(name)
        check(family in metrics.types and metrics.helps.get(family), f"{name} has no TYPE and HELP")


def check_histograms(metrics):
    families = [name for name, kind in metrics.types.items() if kind == "histogram"]
    check(len(families) >= 5, f"histograms: {families}")
    for family in families:
        series = {}
        for name, labels, value in metrics.samples:
            if name == f"{family}_bucket":
                rest = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
                series.setdefault(rest, []).append((float(labels["le"].replace("+Inf", "inf")), value))
        check(series, f"{family} has no buckets")
        for rest, buckets in series.items():
            bounds, values = zip(*buckets)
            check(list(bounds) == sorted(set(bounds)), f"{family}{rest}: bounds not ascending")
            check(list(values) == sorted(values), f"{family}{rest}: buckets not cumulative")
            check(bounds[-1] == float("inf"), f"{family}{rest}: no bucket for +Inf")
            count = metrics.value(f"{family}_count", **dict(rest))
            same(values[-1], count, f"{family}{rest}: +Inf and count")
            total = metrics.value(f"{family}_sum", **dict(rest))
            check((count == 0) == (total == 0), f"{family}{rest}: {count} in {total} s")


def make_traffic(node, origin):
    """Requests of every kind; waits for the counters that follow an answer's last byte."""
    for _ in range(65):
        same(node.get("/a").status, 200, "/a")                          # 1 miss, 64 hits
    for _ in range(3):
        node.get("/b", host="x.two.test")                               # 1 miss, 2 hits
    for _ in range(2):
        node.get("/private")                                            # not kept
    node.get("/pass1")                                                  # a rule passes it
    for _ in range(2):
        node.get("/stale")                                              # a miss, then a 304
    origin.failing = True
    answer = node.get("/stale")
    origin.failing = False
    same(answer.status, 200, "stale")
    same(node.get("/x", host="nobody.test").status, 421, "a host that no site names")
    same(node.get("/x", method="TRACE").status, 405, "TRACE")
    check(b" 400 " in node.raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), "two Hosts are refused")
    check(b" 414 " in node.raw(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: one.test\r\n\r\n"), "a long target")
    slow = [threading.Thread(target=node.get, args=("/slow",)) for _ in range(5)]
    for one in slow:
        one.start()
    check(origin.waiting.acquire(timeout=10), "the slow pull did not come")
    until(lambda: Metrics(node.metrics()).value("rockpool_fill_followers_total") == 4, "four followers")
    same(Metrics(node.metrics()).value("rockpool_fills"), 1, "fills while one is under way")
    same(Metrics(node.metrics()).value("rockpool_connections_open"), 5, "connections while five wait")
    origin.release.set()
    for one in slow:
        one.join()
    until(lambda: Metrics(node.metrics()).value("rockpool_connections_open") == 0, "no connection is left")


def check_counts(metrics):
    requests = "rockpool_requests_total"
    wanted = [
        ("one.test", "hit", "fresh", 64), ("one.test", "miss", "not-stored", 7), ("two.test", "hit", "fresh", 2),
        ("two.test", "miss", "not-stored", 1), ("one.test", "pass", "rule-pass", 1),
        ("one.test", "revalidated", "revalidated", 1), ("one.test", "stale", "stale-if-error", 1),
        ("", "error", "unknown-host", 1), ("one.test", "error", "method-not-allowed", 1)]
    for site, outcome, reason, count in wanted:
        same(metrics.value(requests, site=site, outcome=outcome, reason=reason), count, f"{site} {outcome} {reason}")
    same(metrics.value(requests, site="one.test", outcome="pass"), 3, "passes")
    same(metrics.value(requests), 81, "all requests")
    sites = {labels["site"] for name, labels, _ in metrics.samples if name == requests}
    same(sites, {"", "one.test", "two.test"}, "sites")
    body = "rockpool_response_body_bytes_total"
    same(metrics.value(body, site="one.test", outcome="hit"), 6400, "bytes of hits")
    same(metrics.value(body, site="two.test"), 300, "bytes of the other site")
    refused = "rockpool_refused_requests_total"
    same(metrics.value(refused, kind="more-than-one-host"), 1, "refused for two Hosts")
    same(metrics.value(refused, kind="request-target-over-the-limit"), 1, "refused for a long target")
    same(metrics.value(refused), 2, "refused")
    # 66 plain hits over at most two loops, one in 16 timed on each, the first of each among them.
    timed = metrics.value("rockpool_hit_duration_seconds_count")
    check(4 <= timed <= 7, f"{timed} of 66 hits timed")
    heads = {o: metrics.value("rockpool_response_head_seconds_count", outcome=o) for o in ("miss", "pass", "error")}
    same(heads, {"miss": 8, "pass": 3, "error": 2}, "heads timed")
    pulls = metrics.value("rockpool_origin_pulls_total")
    same(metrics.value("rockpool_pull_first_byte_seconds_count", origin="main"), pulls, "pulls timed to the head")
    same(metrics.value("rockpool_pull_duration_seconds_count", origin="main"), pulls, "pulls timed to the end")
    started = metrics.value("rockpool_fills_started_total")
    same(pulls, started, "every fill is one pull")
    same(metrics.value("rockpool_fill_followers_total"), 4, "followers")
    same(metrics.value("rockpool_fill_followers_released_total"), 0, "followers released")
    same(metrics.value("rockpool_marked_keys", mark="hit-for-miss"), 2, "keys marked hit-for-miss")
    check(metrics.value("rockpool_loop_lag_seconds_count") > 0, "loop lag was measured")
    same(metrics.value("rockpool_origin_up", origin="main"), 1, "origin up")


def check_status(status, metrics):
    requests = status["requests"]
    same(requests["total"], metrics.value("rockpool_requests_total"), "status: requests")
    same(sum(row["count"] for row in requests["byReason"]), requests["total"], "status: by reason")
    same(requests["bodyBytes"], metrics.value("rockpool_response_body_bytes_total"), "status: bytes")
    same(requests["refused"], 2, "status: refused")
    counts = [row["count"] for row in requests["byReason"]]
    same(counts, sorted(counts, reverse=True), "status: by reason in order")
    top = {row["url"]: row for row in status["topMisses"]}
    same(top["one.test/slow"]["count"], 5, "status: top misses, five waited")
    same(top["one.test/private"]["count"], 2, "status: top misses")
    same(top["one.test/stale"]["count"], 2, "status: a miss and a revalidation")
    same(top["x.two.test/b"], {"url": "x.two.test/b", "reason": "not-stored", "count": 1}, "status: one miss")
    counts = [row["count"] for row in status["topMisses"]]
    check(counts == sorted(counts, reverse=True) and len(counts) <= 20, f"status: top misses {counts}")
    hit = status["latency"]["hit"]
    same(hit["count"], metrics.value("rockpool_hit_duration_seconds_count"), "status: hits timed")
    check(0 < hit["p50Microseconds"] <= hit["p90Microseconds"] <= hit["p99Microseconds"], f"status: {hit}")
    pull = status["latency"]["pull"]
    check(0 < pull["p50Microseconds"] <= pull["p99Microseconds"], f"status: {pull}")
    connections = status["connections"]
    same(connections["accepted"], metrics.value("rockpool_connections_accepted_total"), "status: connections")
    same(connections["open"], 0, "status: open connections")
    check(set(status["loopLagMicroseconds"]) == {"p99", "max"}, "status: loop lag")
    same(status["accessLog"], {"droppedLines": 0}, "status: access log")


def check_hostile_names(node):
    """Nothing that a client sends becomes a label."""
    for number in range(50):
        node.get(f"/h{number}", host=f"host{number}.example")
        node.raw(f"M{number} / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n".encode())
    text = node.metrics()
    check("host1.example" not in text and "M1" not in text, "what a client sent became a label")
    same(Metrics(text).value("rockpool_requests_total", site="", reason="unknown-host"), 51, "unknown hosts")


def check_reload(node):
    """A reload goes on counting by name; a new site counts anew."""
    path = os.path.join(node.folder, "rockpool.yaml")
    with open(path, encoding="utf-8") as file:
        configuration = json.load(file)
    before = Metrics(node.metrics()).value("rockpool_requests_total", site="one.test", outcome="hit")
    configuration["sites"].insert(0, {"hosts": ["new.test"], "origin": "main"})
    with open(path, "w", encoding="utf-8") as file:
        json.dump(configuration, file)
    node.child.send_signal(signal.SIGHUP)
    until(lambda: node.get("/a", host="new.test").status == 200, "the new site is served")
    node.get("/a")
    metrics = Metrics(node.metrics())
    same(metrics.value("rockpool_requests_total", site="one.test", outcome="hit"), before + 1, "hits over a reload")
    check(metrics.value("rockpool_requests_total", site="new.test") >= 1, "the new site is counted")


def metric_names(expression):
    return set(re.findall(r"\b(?:rockpool|process)_[a-z0-9_]+", expression))


def check_shipped(metrics):
    rules = os.path.join(SHIPPED, "rockpool-alerts.yaml")
    code, said = promtool("check", "rules", rules)
    check(code == 0, f"promtool check rules: {said}")
    code, said = promtool("test", "rules", os.path.join(HERE, "alerts_test.yaml"))
    check(code == 0, f"promtool test rules: {said}")
    with tempfile.TemporaryDirectory() as folder:
        # The example names files as they lie on a Prometheus host.
        for name in ("prometheus.yml", "rockpool-alerts.yaml"):
            with open(os.path.join(SHIPPED, name), encoding="utf-8") as file:
                text = file.read()
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text.replace("/etc/prometheus/rockpool.token", os.path.join(folder, "token")))
        with open(os.path.join(folder, "token"), "w", encoding="ascii") as file:
            file.write("x")
        code, said = promtool("check", "config", os.path.join(folder, "prometheus.yml"))
        check(code == 0, f"promtool check config: {said}")
    with open(rules, encoding="utf-8") as file:
        text = file.read()
    alerts = text.count("- alert:")
    same([text.count(f" {key}:") for key in ("severity", "summary", "description", "action")], [alerts] * 4,
         "what every alert says")
    used = set()
    for expression in re.findall(r"expr: (\|\n(?:          .*\n)+|.*\n)", text):
        used |= metric_names(expression)
    with open(os.path.join(SHIPPED, "rockpool-dashboard.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    check(dashboard["schemaVersion"] >= 37, "the dashboard is of Grafana 9")
    boxes = [p["gridPos"] for p in dashboard["panels"]]
    check(all(b["x"] + b["w"] <= 24 for b in boxes), "panels fit")
    same(len({p["id"] for p in dashboard["panels"]}), len(boxes), "ids of panels")
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            check(target["datasource"]["uid"] == "${datasource}", f"{panel['title']}: data source")
            used |= metric_names(target["expr"])
            # promtool reads expressions within rules only.
            target["expr"] = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        targets = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
        json.dump({"groups": [{"name": "dashboard", "rules": [
            {"record": f"panel:{i}", "expr": e.replace("$site", ".*")} for i, e in enumerate(targets)]}]}, file)
        file.flush()
        code, said = promtool("check", "rules", file.name)
        check(code == 0, f"the dashboard's expressions: {said}")
    unknown = {name for name in used if metrics.family(name) not in metrics.types}
    check(not unknown, f"dashboard or alerts use what no node has: {sorted(unknown)}")
    own = {name for name in metrics.types if name.startswith("rockpool_")}
    unused = own - {metrics.family(name) for name in used}
    print(f"  {len(own)} families; in neither dashboard nor alerts: {', '.join(sorted(unused))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    options = parser.parse_args()
    if not shutil.which("promtool"):
        sys.exit("promtool is missing (Debian: apt-get install prometheus)")
    binary = os.path.abspath(options.binary)
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="rockpool-monitoring-")
    origin = Origin()
    node = None
    try:
        node = Node(binary, os.path.join(folder, "node"), origin)
        check_metrics_format(node.metrics())
        make_traffic(node, origin)
        text = node.metrics()
        metrics = Metrics(text)
        check_metrics_format(text)
        check_histograms(metrics)
        check_counts(metrics)
        check_status(node.status(), metrics)
        check_hostile_names(node)
        check_reload(node)
        check_metrics_format(node.metrics())
        print("metrics and status: ok")
        check_shipped(metrics)
        print("alerts and dashboard: ok")
        # Without a file there is nothing to open, and nothing to end for.
        node.child.send_signal(signal.SIGUSR1)
        same(node.get("/a").status, 200, "after SIGUSR1")
        same(node.stop(), 0, "exit code")
        access_log.run(binary, folder, origin)
        reloading.run(binary, folder, origin)
        print(f"ok, {time.monotonic() - began:.1f} s")
    except Failure as failure:
        print(f"FAILED: {failure}\n(files in {folder})", file=sys.stderr)
        folder = None
        sys.exit(1)
    finally:
        if node:
            node.stop()
        origin.stop()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
