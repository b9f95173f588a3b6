# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven through chromedriver by the WebDriver protocol (W3C), which is JSON
over HTTP: Python's own library is all it takes."""
import base64
import json
import re
import subprocess
import time
import urllib.error
import urllib.request

from support import need

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the standard names references by
# Code points of keys that are no characters (WebDriver, "Keyboard actions").
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowLeft": "\ue012", "ArrowUp": "\ue013",
        "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Home": "\ue011", "Backspace": "\ue003",
        "Control": "\ue009", "Tab": "\ue004"}
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--disable-default-apps", "--no-proxy-server",
             # Whatever is not this machine is not to be found.
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


class Browser:
    """One window. Closes, and ends what it started, on exit."""

    def __init__(self, folder, width=1280, height=800):
        need("chromium", "chromedriver")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True, cwd=folder)
        self.session = None
        try:
            port = None
            while port is None:
                line = self.driver.stdout.readline()
                if not line:
                    raise AssertionError("chromedriver ended")
                port = re.search(r"started successfully on port (\d+)", line)
            self.base = f"http://127.0.0.1:{port[1]}"
            options = {"args": ARGUMENTS + [f"--user-data-dir={folder}/chromium"]}
            answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
            self.session = f"/session/{answer['sessionId']}"
            self.resize(width, height)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            if self.session:
                self.call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.base + path, method=method,
            data=json.dumps(body or {}).encode() if method == "POST" else None,
            headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()[:600]}") from None

    def post(self, path, body=None):
        return self.call("POST", self.session + path, body)

    def go(self, url):
        self.post("/url", {"url": url})

    def resize(self, width, height):
        self.post("/window/rect", {"width": width, "height": height})

    def run(self, script, *args):
        """What a function body returns. A driver's scripts are not bound by the page's policy."""
        return self.post("/execute/sync", {"script": script, "args": list(args)})

    def devtools(self, command, **params):
        return self.post("/goog/cdp/execute", {"cmd": command, "params": params})

    def wait(self, script, what, *args):
        """Until a function body returns something true, which it returns."""
        for _ in range(1500):
            value = self.run(script, *args)
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"never: {what}")

    def element(self, selector):
        found = self.post("/element", {"using": "css selector", "value": selector})
        return f"/element/{found[ELEMENT]}"

    def click(self, selector):
        self.post(self.element(selector) + "/click")

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def choose(self, selector, text):
        """Chooses the first option that holds a text."""
        self.run("""const [selector, text] = arguments;
            const select = document.querySelector(selector);
            const at = [...select.options].findIndex((o) => o.textContent.includes(text));
            if (at < 0) throw new Error(`no ${text} in ${select.textContent}`);
            select.selectedIndex = at;
            select.dispatchEvent(new Event("change", {bubbles: true}));""", selector, text)

    def press(self, *keys):
        """Presses keys, one after the other; a tuple holds all but its last meanwhile."""
        actions = []
        for key in keys:
            chord = [KEYS.get(k, k) for k in (key if isinstance(key, tuple) else (key,))]
            actions += [{"type": "keyDown", "value": k} for k in chord]
            actions += [{"type": "keyUp", "value": k} for k in reversed(chord)]
        self.post("/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def pointer(self, x, y, click=False):
        actions = [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}]
        if click:
            actions += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self.post("/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def log(self, kind):
        return self.post("/se/log", {"type": kind})

    def requests(self):
        """The addresses asked for since the last call."""
        found = []
        for entry in self.log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", self.session + "/screenshot")))
