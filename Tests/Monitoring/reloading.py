"""A reload from outside: every key of the file counts at once, or is named as waiting for a restart."""

import http.client
import json
import os
import re
import signal

from access_log import Traffic, lines_of, wait_for_lines
from monitoring_node import Node, check, until

MIB = 1 << 20


class File:
    """The configuration file of a node, and reloads of it."""

    def __init__(self, node):
        self.node = node
        self.path = os.path.join(node.folder, "rockpool.yaml")
        with open(self.path, encoding="utf-8") as file:
            self.content = json.load(file)

    def write(self, change):
        change(self.content)
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(self.content, file)

    def post(self, change=lambda content: None, token=None, status=200):
        self.write(change)
        connection = http.client.HTTPConnection("127.0.0.1", self.node.admin, timeout=20)
        try:
            connection.request("POST", "/reload", headers={"Authorization": f"Bearer {token or self.node.token}"})
            answer = connection.getresponse()
            body = answer.read()
            check(answer.status == status, f"POST /reload: {answer.status} {body}")
            return json.loads(body)
        finally:
            connection.close()


def same(found, wanted, what):
    check(found == wanted, f"{what}: {found}, not {wanted}")


def check_waiting(file):
    """Keys that a reload cannot change are named by POST and by SIGHUP, each time, until they are as they were."""
    node = file.node
    old = json.loads(json.dumps(file.content))
    same(file.post(), {"reloaded": True, "waitingForRestart": []}, "a reload without a change")

    def change(content):
        content["node"] = {"id": "other"}
        content["listen"].append({"address": "127.0.0.1:1"})
        content["admin"]["address"] = "127.0.0.1:2"
        content["cache"]["directory"] = os.path.join(node.folder, "elsewhere")
        content["cache"]["disk"] = 0
    keys = ["node.id", "listen", "admin.address", "cache.directory", "cache.disk"]
    for _ in range(2):
        same(file.post(change if "node" not in file.content else lambda content: None)["waitingForRestart"], keys,
             "keys that wait for a restart")
    node.child.send_signal(signal.SIGHUP)
    said = f"these wait for a restart: {', '.join(keys)}"
    until(lambda: node.said().count(said) == 3, "the log does not name what waits after SIGHUP")
    check(not os.path.exists(os.path.join(node.folder, "elsewhere")), "a directory was made that nobody uses")
    file.content = old
    same(file.post()["waitingForRestart"], [], "keys that are as they were")


def check_log(file):
    """The log moves under traffic, changes its format, goes off and comes back; what cannot be opened changes nothing."""
    node = file.node
    paths = [os.path.join(node.folder, f"log{number}") for number in range(6)]
    traffic = Traffic(node)
    try:
        before = 0
        for path in paths:
            file.post(lambda content: content["log"].update(access=path))
            before = sum(traffic.sent)
            until(lambda: sum(traffic.sent) > before + 40 or traffic.failed, "no traffic")
        answer = file.post(lambda content: content["log"].update(access="/nonexistent/log"), status=400)
        check("/nonexistent/log" in answer["detail"], f"a log that cannot be opened: {answer}")
        file.post(lambda content: content["log"].update(access=paths[-1]))
    finally:
        traffic.stop()
    last = {f'"/a/{client}/{sent - 1}"'.encode() for client, sent in enumerate(traffic.sent)}
    until(lambda: all(one in b"".join(lines_of(paths[-1])) for one in last), "the last lines are missing")
    files = [lines_of(path) for path in paths]
    # What was answered before the first reload was not logged: the log was off.
    targets = [json.loads(line)["target"] for lines in files for line in lines]
    check(len(set(targets)) == len(targets), "a line is there twice")
    for client in range(len(traffic.sent)):
        own = [int(target.split("/")[3]) for target in targets if target.startswith(f"/a/{client}/")]
        same(own, list(range(own[0], traffic.sent[client])), f"lines of client {client} in order, over the files")
    check(all(files), "a file is empty")

    # Said by the answer: what is asked after it goes by it.
    file.post(lambda content: content["log"].update(access="off"))
    sizes = [os.path.getsize(path) for path in paths]
    node.get("/unlogged")
    combined = os.path.join(node.folder, "combined")
    file.post(lambda content: content["log"].update(access=combined, format="combined"))
    node.get("/logged")
    line = wait_for_lines(combined, 1)[0]
    check(re.search(rb'"GET /logged HTTP/1.1" 200 100 "-" "-" (miss|hit)$', line), f"combined: {line}")
    same([os.path.getsize(path) for path in paths], sizes, "files that are the log's no more")
    file.post(lambda content: content["log"].update(format="json"))
    node.get("/logged")
    json.loads(wait_for_lines(combined, 2)[1])


def check_level(file):
    node = file.node
    file.post(lambda content: content["log"].update(level="error"))
    count = node.said().count("\n")
    file.post()
    same(node.said().count("\n"), count, "lines of the node's log at level error")
    file.post(lambda content: content["log"].update(level="info"))
    until(lambda: node.said().count("\n") > count, "the level is not back")


def check_budgets(file, origin):
    """Memory and disk give up what a smaller budget has no room for, and take more with a larger one."""
    node = file.node
    store = os.path.join(node.folder, "cache", "store")

    def tier(name):
        return next(tier for tier in node.status()["tiers"] if tier["name"] == name)

    def occupied():
        return sum(os.stat(os.path.join(store, name)).st_blocks * 512 for name in os.listdir(store))

    def fill(prefix):
        for number in range(40):
            node.get(f"/size/{MIB}/{prefix}/{number}")
    fill("first")
    until(lambda: tier("disk")["usedBytes"] > 32 * MIB, lambda: f"the disk is not filled: {tier('disk')}")
    check(tier("memory")["usedBytes"] > 16 * MIB, f"memory is not filled: {tier('memory')}")
    file.post(lambda content: content["cache"].update(memory="8MiB", disk="8MiB"))
    for name in ("memory", "disk"):
        same(tier(name)["budgetBytes"], 8 * MIB, f"the budget of {name}")
        until(lambda: tier(name)["usedBytes"] <= 8 * MIB, lambda: f"{name} keeps more: {tier(name)}")
    until(lambda: occupied() <= 8.5 * MIB, lambda: f"files of {occupied()} bytes")
    fill("second")
    check(tier("disk")["usedBytes"] <= 8 * MIB and tier("memory")["usedBytes"] <= 8 * MIB, "budgets are not kept")
    file.post(lambda content: content["cache"].update(memory="64MiB", disk="96MiB"))
    same((tier("memory")["budgetBytes"], tier("disk")["budgetBytes"]), (64 * MIB, 96 * MIB), "larger budgets")
    fill("third")
    fill("third")
    until(lambda: tier("disk")["usedBytes"] > 32 * MIB, lambda: f"the disk does not grow: {tier('disk')}")
    check(tier("memory")["usedBytes"] > 24 * MIB, f"memory does not grow: {tier('memory')}")
    same(node.get(f"/size/{MIB}/third/39").body, b"x" * MIB, "a body after all of it")


def check_token(file):
    """A token file that comes, changes and goes."""
    node = file.node
    own, first, second = node.token, "first-token-of-some-length", "second-token-of-some-length"
    path = os.path.join(node.folder, "token")

    def write(text):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as token:
            token.write(text + "\n")
    write(first)
    same(file.post(lambda content: content["admin"].update(tokenFile=path))["waitingForRestart"], [], "a token file")
    for wrong in (own, second):
        file.post(token=wrong, status=401)
    write(second)
    file.post(token=first)
    file.post(token=first, status=401)
    os.truncate(path, 0)
    file.post(token=second, status=400)
    file.post(lambda content: content["admin"].pop("tokenFile"), token=second)
    file.post()


def run(binary, folder, origin):
    node = Node(binary, os.path.join(folder, "reloading"), origin)
    try:
        file = File(node)
        check_waiting(file)
        check_log(file)
        check_level(file)
        check_token(file)
        check_budgets(file, origin)
        same(node.stop(), 0, "exit code")
        print("reloads: ok")
    finally:
        node.stop()
