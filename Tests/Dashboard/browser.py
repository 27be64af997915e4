"""A headless Chromium, driven over the DevTools protocol: real keys and clicks, and all that it complains about."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import websocket

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


class Browser:
    """One page in a browser of its own, with a fresh profile."""

    def __init__(self, program, seconds=20):
        self.profile = tempfile.mkdtemp(prefix="rockpool-browser-")
        self.log = open(os.path.join(self.profile, "browser.log"), "wb")
        command = [
            program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self.profile}",
            "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--no-proxy-server", "--force-color-profile=srgb"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        self.child = subprocess.Popen(
            [*command, "about:blank"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.connect(time.monotonic() + seconds)
        except BaseException:
            self.close()
            raise

    def connect(self, deadline):
        path = os.path.join(self.profile, "DevToolsActivePort")
        while not (os.path.exists(path) and open(path).read().count("\n")):
            if self.child.poll() is not None or time.monotonic() > deadline:
                with open(self.log.name, "rb") as log:
                    raise RuntimeError("the browser did not start: " + log.read()[-800:].decode(errors="replace"))
            time.sleep(0.02)
        port = int(open(path).readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            page = next(one for one in json.load(answer) if one["type"] == "page")
        self.wire = websocket.create_connection(
            page["webSocketDebuggerUrl"], suppress_origin=True, timeout=30, max_size=None)
        self.number = 0
        self.complaints, self.requested = [], []
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable")
        # Typing into a page that is not in front goes nowhere.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def close(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    # The protocol

    def call(self, method, **parameters):
        self.number += 1
        self.wire.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.wire.recv())
            if "id" not in message:
                self.note(message["method"], message["params"])
            elif message["id"] == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def note(self, event, about):
        """Keeps what nobody asked for: errors, refusals by the policy, and each address that was asked."""
        if event == "Network.requestWillBeSent":
            self.requested.append(about["request"]["url"])
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            entry = about["entry"]
            self.complaints.append((entry["source"], entry["text"], entry.get("url", "")))
        elif event == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details["text"]
            self.complaints.append(("exception", text, details.get("url", "")))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            text = " ".join(str(one.get("value", one.get("description"))) for one in about["args"])
            self.complaints.append(("console", text, ""))
        elif event == "Audits.issueAdded" and "SecurityPolicy" in about["issue"]["code"]:
            self.complaints.append(("policy", json.dumps(about["issue"]["details"]), ""))

    # The page

    def evaluate(self, expression):
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails'].get('exception', answer)}")
        return answer["result"].get("value")

    def wait(self, expression, what, seconds=10):
        """Until `expression` is true in the page; what it then is."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.evaluate(f"((value) => value instanceof Node || value)({expression})")
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}")
            time.sleep(0.05)

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})", "the page")

    def reload(self):
        self.evaluate("window.isOld = true")
        self.call("Page.reload")
        self.wait("document.readyState === 'complete' && !window.isOld", "the page again")

    def look(self, width, height, scheme, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}])

    def click(self, selector):
        place = self.evaluate(f"""(() => {{
            const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{ block: "center", behavior: "instant" }});
            const box = node.getBoundingClientRect();
            const x = box.x + box.width / 2, y = box.y + box.height / 2;
            const over = document.elementFromPoint(x, y);
            return over && (node.contains(over) || over.contains(node)) ? [x, y] : null;
        }})()""")
        if place is None:
            raise AssertionError(f"{selector} is covered, or not to be seen")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, key):
        about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key)
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def write(self, selector, text):
        """Clicks into a field and types, in place of what is in it."""
        self.click(selector)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def choose(self, selector, value):
        """As a choice from a list that the system draws would: the value, then its event."""
        self.evaluate(f"""(() => {{
            const list = document.querySelector({json.dumps(selector)});
            list.value = {json.dumps(value)};
            list.dispatchEvent(new Event("change", {{ bubbles: true }}));
        }})()""")

    def picture(self, path, is_whole=True):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def hosts(self):
        """Every host and port that the page asked, `data:` aside."""
        parts = [urllib.parse.urlsplit(url) for url in self.requested]
        return {part.netloc for part in parts if part.scheme not in ("data", "about", "chrome")}
