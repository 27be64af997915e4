#!/usr/bin/env python3
"""The dashboard in a real browser, on a real node, in front of an origin of its own.

    python3 Tests/Dashboard/dashboard.py --binary .build/release/rockpool [--screenshots DIR] [--steps a,b]

Needs chromium and python3-websocket. The steps run in this order, each on what the one before left:

  files      the page, its style sheet and its script: content types, policy, entity tags, no token
  token      a wrong one is refused beside its field; the right one opens the page and stays in this tab only
  looks      phone and desktop, dark and light: nothing wider than the window, all that is named has a name
  misses     what was missed most; a path that is markup stays text
  figures    hits and misses are sent, and the hit ratio, the rates and the tiers follow
  hidden     a page that is not seen does not ask
  latency    of hits and of pulls
  explain    a stored and an unknown URL; a problem stands beside its field
  purge      one URL, seen with a request; a problem beside its field; everything, after a second question
  outage     the node is away: the page says so, asks less and less often, and comes back by itself
  change     the node comes back with another token: the page asks for it
  forget     the token is forgotten on request, the one that was kept for longer too
  quiet      in all that: no refusal by the policy, no error of a script, no other host was asked
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True

from browser import Browser
from dashboard_node import Node, Origin

TOKEN, OTHER_TOKEN = "an-admin-token-4711", "another-admin-token-42"
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
          "form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
FILES = {
    "/": "text/html; charset=utf-8", "/dashboard.css": "text/css; charset=utf-8",
    "/dashboard.js": "text/javascript; charset=utf-8"}
SIZES = {"phone": (360, 740, 2), "desktop": (1280, 900, 1)}
HOSTILE = "/<img/src=x/onerror=window.hostile=1>"
# What the browser says of answers that the steps provoke.
EXPECTED = [
    ("network", r"status of 401", "/status"), ("network", r"status of 400", "/explain"),
    ("network", r"status of 400", "/purge"),
    ("network", r"ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE", "/status")]


def require(condition, what):
    if not condition:
        raise AssertionError(what)


class Suite:
    def __init__(self, options, work):
        self.screenshots = options.screenshots
        self.origin = Origin()
        self.node = Node(os.path.abspath(options.binary), self.origin, work)
        self.browser = None
        self.url = f"http://127.0.0.1:{self.node.admin}/"
        self.site = f"http://{self.node.address}"

    def prepare(self, chromium):
        self.node.start(TOKEN)
        self.browser = Browser(chromium)
        self.browser.look(1280, 900, "light")

    def close(self):
        if self.browser:
            self.browser.close()
        self.node.stop()
        self.origin.close()

    def picture(self, name, is_whole=True):
        if self.screenshots:
            self.browser.picture(os.path.join(self.screenshots, f"{name}.png"), is_whole)

    def enter(self, token):
        self.browser.write("#token", token)
        self.browser.press("Enter")

    def is_open(self, seconds=10):
        self.browser.wait(
            "!document.getElementById('board').hidden && document.getElementById('state').textContent === 'Live'",
            "the page opens", seconds)

    def figure(self, identifier):
        """The number that an element shows; None where there is none."""
        found = re.search(r"[\d,.]+", self.browser.text(f"#{identifier}"))
        return float(found.group().replace(",", "")) if found else None

    def step_files(self):
        for path, content_type in FILES.items():
            status, fields, body = self.node.ask(path)
            require(status == 200 and body, f"{path}: {status}")
            for name, value in {
                    "Content-Type": content_type, "Content-Security-Policy": POLICY,
                    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
                    "Cache-Control": "no-cache"}.items():
                require(fields[name] == value, f"{path}: {name}: {fields[name]}")
            tag = fields["ETag"]
            for known, wanted in ((tag, 304), (f'"x", W/{tag}', 304), ('"x"', 200), (None, 200)):
                status, fields, body = self.node.ask(path, **({"If-None-Match": known} if known else {}))
                require(status == wanted, f"{path} with If-None-Match {known}: {status}")
                require(fields["ETag"] == tag and (status == 200) == bool(body), f"{path}: {fields}")
        require(self.node.ask("/status")[0] == 401, "/status without a token")

    def step_token(self):
        browser = self.browser
        browser.open(self.url)
        browser.wait("document.activeElement.id === 'token'", "the token's field has the focus")
        self.picture("token", False)
        require(browser.evaluate("document.getElementById('board').getClientRects().length") == 0,
                "the figures are not there without a token")
        # By keyboard alone.
        browser.call("Input.insertText", text="not-the-token")
        browser.press("Enter")
        browser.wait("document.getElementById('token-problem').textContent.includes('does not accept')", "a refusal")
        require(browser.evaluate("document.getElementById('token').getAttribute('aria-invalid')") == "true",
                "the field is marked")
        require(browser.evaluate("sessionStorage.length + localStorage.length") == 0, "a wrong token is not kept")
        self.picture("token-refused", False)
        browser.wait("document.activeElement.id === 'token'", "the focus is back in the field")
        browser.call("Input.insertText", text=TOKEN)
        browser.press("Enter")
        self.is_open()
        require(browser.evaluate("Object.values(sessionStorage).join()") == TOKEN, "kept for the tab")
        require(browser.evaluate("localStorage.length") == 0, "kept for no longer")
        require(TOKEN not in browser.evaluate("document.documentElement.outerHTML + location.href"), "not in the page")
        browser.reload()
        self.is_open()

    def step_looks(self):
        browser, grounds = self.browser, {}
        for size, (width, height, scale) in SIZES.items():
            for scheme in ("light", "dark"):
                browser.look(width, height, scheme, scale)
                browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
                self.is_fitting(f"{size}, {scheme}")
                grounds[scheme] = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        light, dark = (sum(map(int, re.findall(r"\d+", grounds[scheme])[:3])) for scheme in ("light", "dark"))
        require(light > 600 and dark < 150, f"grounds: {grounds}")
        nameless = browser.evaluate("""[...document.querySelectorAll("input, select, textarea, button")]
            .filter((one) => !(one.labels?.length || one.textContent.trim() || one.getAttribute("aria-label")))
            .map((one) => one.outerHTML)""")
        require(not nameless, f"without a label: {nameless}")
        inline = browser.evaluate("document.querySelectorAll('[style], [onclick], style, script:not([src])').length")
        require(inline == 0, f"{inline} inline")
        browser.look(1280, 900, "light")

    def is_fitting(self, when):
        widths = self.browser.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth, innerWidth]")
        require(widths[0] <= widths[1] <= widths[2], f"{when}: {widths[0]} px wide in {widths[1]}")

    def step_misses(self):
        browser = self.browser
        for _ in range(3):
            require(self.node.send(HOSTILE) == 200, "the hostile path is refused")
        shown = browser.wait(
            "[...document.querySelectorAll('#misses .url')].map((one) => one.textContent)"
            ".find((one) => one.includes('onerror'))", "the hostile path among the most missed")
        require("<img/src=x" in shown.lower() or "%3cimg" in shown.lower(), f"shown as {shown}")
        require(browser.evaluate("document.querySelectorAll('#board img, #board a:not(.skip)').length") == 0,
                "it became markup")
        require(browser.evaluate("window.hostile") is None, "it ran")
        require(self.node.send("/\u202egpj.exe\u200b") == 200, "the path that turns round is refused")
        browser.wait("document.querySelector('#misses').textContent.includes('u{202e}gpj.exe\\\\u{200b}')",
                     "what turns text round and what hides, by their numbers")
        require(browser.evaluate("/[\\u202e\\u200b]/.test(document.body.textContent)") is False, "they are there raw")
        require(browser.text("#misses .said").strip(), "a reason")
        require(re.search(r"^(Miss|Pass): \w", browser.text("#reasons")), f"reasons: {browser.text('#reasons')}")
        browser.look(360, 740, "light", 2)
        self.is_fitting("with a long path")
        browser.look(1280, 900, "light")

    def step_figures(self):
        browser = self.browser
        before = self.figure("flow")
        for _ in range(100):
            self.node.fetch("/kept/one")
        browser.wait("parseFloat(document.getElementById('ratio').textContent) > 90", "a hit ratio above 90 %")
        require(self.figure("rate") > 0, f"requests per second: {browser.text('#rate')}")
        high = self.figure("ratio")
        for number in range(100):
            self.node.fetch(f"/kept/{number}")
        browser.wait(f"parseFloat(document.getElementById('ratio').textContent) < {high - 20}", "the ratio falls")
        browser.wait(f"parseFloat(document.getElementById('flow').textContent.replace(',', '')) >= {before + 200}",
                     "the total")
        rates = browser.evaluate("[...document.querySelectorAll('.outcome')].map((one) => one.innerText)")
        require(any(re.search(r"^Miss\s+\d", one) for one in rates), f"rates by outcome: {rates}")
        drawn = browser.evaluate("document.querySelector('#rate-chart .bar.hit').getAttribute('d').length")
        require(drawn > 10, "hits are drawn")
        tiers = browser.text("#tiers")
        require("Memory" in tiers and "Disk" in tiers and "of 128 MiB" in tiers, f"tiers: {tiers}")
        origins = browser.text("#origins")
        require(f"127.0.0.1:{self.origin.port}" in origins and "Up" in origins, f"origins: {origins}")
        require(browser.text("#uptime") != "–" and browser.text("#version") != "–", "uptime and version")

    def step_hidden(self):
        """A page that is not seen does not ask; seen again, it asks at once."""
        browser = self.browser
        asked = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/status')).length"
        browser.evaluate("performance.setResourceTimingBufferSize(100000)")
        seen = browser.evaluate(asked)
        browser.wait(f"{asked} > {seen}", "it asks")
        browser.evaluate("""Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })
            && document.dispatchEvent(new Event('visibilitychange'))""")
        browser.evaluate("new Promise((done) => setTimeout(done, 500))")
        hidden = browser.evaluate(asked)
        browser.evaluate("new Promise((done) => setTimeout(done, 2500))")
        require(browser.evaluate(asked) == hidden, "it asked while hidden")
        browser.evaluate("delete document.hidden && document.dispatchEvent(new Event('visibilitychange'))")
        browser.wait(f"{asked} > {hidden}", "it asks again", 1)

    def step_latency(self):
        for kind in ("hit", "pull"):
            self.browser.wait(f"/p50.*s.*p99.*s/s.test(document.querySelector('.latency.{kind}')?.innerText)",
                              f"the latency of {kind}s")

    def step_explain(self):
        browser = self.browser
        self.node.fetch("/kept/explained")
        pulls = self.origin.pulls
        browser.write("#explain-url", f"{self.site}/kept/explained")
        browser.press("Enter")
        browser.wait("document.querySelector('#explain-answer .verdict')", "an answer")
        said = browser.text("#explain-answer")
        for part in ("Hit", "fresh", "/kept/explained", "memory", "max-age", "Cache key"):
            require(part in said, f"{part} is not in: {said}")
        require("{" not in said, f"raw JSON: {said}")
        browser.evaluate("document.getElementById('explain-more').open = true")
        browser.write("#explain-headers", "Accept-Encoding: gzip")
        browser.click("#explain-down")
        browser.write("#explain-url", f"{self.site}/kept/unknown")
        browser.click("#explain-send")
        browser.wait("document.querySelector('#explain-answer .verdict.error')", "an error, with the origin down")
        said = browser.text("#explain-answer")
        require("Nothing is stored" in said, f"nothing is stored: {said}")
        require(self.origin.pulls == pulls, "explaining asked the origin")
        browser.write("#explain-url", "no host")
        browser.click("#explain-send")
        browser.wait("document.getElementById('explain-url-problem').textContent", "a problem beside the URL")
        require(browser.evaluate("document.activeElement.id") == "explain-url", "the focus is there")
        browser.write("#explain-url", f"{self.site}/kept/explained")
        browser.click("#explain-down")
        browser.press("Tab")
        require(browser.evaluate("document.activeElement.id") == "explain-send", "Tab goes on to the button")
        browser.press(" ")
        browser.wait("document.querySelector('#explain-answer .verdict.hit')", "a hit again")
        require(browser.evaluate("document.getElementById('explain-url').hasAttribute('aria-invalid')") is False,
                "the problem is gone")

    def step_purge(self):
        browser, path = self.browser, "/kept/purged"
        old = self.node.fetch(path)
        require(self.node.fetch(path) == old, "it was kept")
        browser.choose("#purge-scope", "url")
        browser.write("#purge-value", self.site + path)
        browser.press("Enter")
        browser.wait("document.getElementById('purge-done').textContent.includes('Purged')", "it is done")
        new = self.node.fetch(path)
        require(new != old and self.node.fetch(path) == new, f"first {old!r}, after the purge {new!r}")
        browser.wait(f"document.getElementById('purges').innerText.includes({path!r})", "it is among the recent ones")
        browser.choose("#purge-scope", "tag")
        browser.write("#purge-value", "two words")
        browser.press("Enter")
        browser.wait("document.getElementById('purge-value-problem').textContent", "a problem beside the value")
        require(browser.evaluate("document.activeElement.id") == "purge-value", "the focus is there")
        self.pictures("board")
        browser.choose("#purge-scope", "all")
        require(browser.text("#purge-value-problem") == "", "another scope, no problem")
        browser.click("#purge-send")
        browser.wait("document.getElementById('confirm').open", "the second question")
        self.picture("confirm", False)
        require(browser.evaluate("document.activeElement.id") == "confirm-no", "the harmless answer has the focus")
        browser.press("Escape")
        browser.wait("!document.getElementById('confirm').open", "Escape closes it")
        require(self.node.fetch(path) == new, "nothing was purged")
        browser.click("#purge-send")
        browser.wait("document.getElementById('confirm').open", "the second question again")
        browser.click("#confirm-yes")
        browser.wait("document.getElementById('purge-done').textContent.includes('everything')", "all is purged")
        require(self.node.fetch(path) != new, "it was still there")

    def pictures(self, name):
        if not self.screenshots:
            return
        for size, (width, height, scale) in SIZES.items():
            for scheme in ("light", "dark"):
                self.browser.look(width, height, scheme, scale)
                self.browser.evaluate("scrollTo(0, 0)")
                self.is_fitting(f"{size}, {scheme}")
                self.picture(f"{name}-{size}-{scheme}")
        self.browser.look(1280, 900, "light")

    def step_outage(self):
        browser = self.browser
        self.node.stop()
        browser.wait("!document.getElementById('outage').hidden", "it says that the node is away")
        require("does not answer" in browser.text("#outage"), browser.text("#outage"))
        require(browser.text("#state") == "No answer", browser.text("#state"))
        self.picture("outage", False)
        browser.wait("/Next try in [34] s/.test(document.getElementById('outage-next').textContent)",
                     "it asks less often", 15)
        self.node.start(TOKEN)
        self.is_open(15)
        require(browser.evaluate("document.getElementById('outage').hidden"), "the message is gone")
        require(len(self.browser.text("#uptime")) < 6, f"a new life: {self.browser.text('#uptime')}")

    def step_change(self):
        browser = self.browser
        self.node.stop()
        self.node.start(OTHER_TOKEN)
        browser.wait("!document.getElementById('entrance').hidden", "it asks for the token", 40)
        require("no longer" in browser.text("#token-problem"), browser.text("#token-problem"))
        require(browser.evaluate("sessionStorage.length") == 0, "the old token is forgotten")
        browser.click("#token-keep")
        self.enter(OTHER_TOKEN)
        self.is_open()
        require(browser.evaluate("Object.values(localStorage).join()") == OTHER_TOKEN, "kept in the browser")

    def step_forget(self):
        self.browser.click("#forget")
        self.browser.wait("!document.getElementById('entrance').hidden", "it asks for the token")
        require(self.browser.evaluate("sessionStorage.length + localStorage.length") == 0, "nothing is kept")
        self.browser.reload()
        self.browser.wait("!document.getElementById('entrance').hidden", "it still asks for the token")

    def step_quiet(self):
        # Events that are under way come before this answer.
        self.browser.evaluate("new Promise((done) => setTimeout(done))")
        unexpected = [
            one for one in self.browser.complaints
            if not any(one[0] == source and re.search(pattern, one[1]) and part in one[2]
                       for source, pattern, part in EXPECTED)]
        require(not unexpected, f"the browser complains: {unexpected}")
        require(self.browser.hosts() == {f"127.0.0.1:{self.node.admin}"}, f"hosts: {self.browser.hosts()}")


def main():
    steps = [name[len("step_"):] for name in vars(Suite) if name.startswith("step_")]
    parser = argparse.ArgumentParser(description="The dashboard in a real browser, on a real node.")
    parser.add_argument("--binary", required=True, help="rockpool")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="chromium")
    parser.add_argument("--screenshots", metavar="DIR", help="where to put pictures of the page")
    parser.add_argument("--steps", default=",".join(steps), help="which steps, in their order: " + ", ".join(steps))
    options = parser.parse_args()
    chosen = options.steps.split(",")
    if not options.browser:
        parser.error("no chromium; name one with --browser")
    if set(chosen) - set(steps):
        parser.error(f"no such steps: {sorted(set(chosen) - set(steps))}")
    if options.screenshots:
        os.makedirs(options.screenshots, exist_ok=True)
    failed = []
    with tempfile.TemporaryDirectory(prefix="rockpool-dashboard-") as work:
        suite = Suite(options, work)
        try:
            suite.prepare(options.browser)
            for step in [name for name in steps if name in chosen]:
                started = time.monotonic()
                try:
                    getattr(suite, f"step_{step}")()
                    print(f"ok      {step} ({time.monotonic() - started:.1f} s)", flush=True)
                except Exception as problem:
                    failed.append(step)
                    print(f"FAILED  {step}: {problem}", flush=True)
                    if not isinstance(problem, AssertionError):
                        traceback.print_exc()
                    suite.picture(f"failed-{step}")
                    if step == "token":
                        print("nothing more can be tried without the token", flush=True)
                        break
        finally:
            suite.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
