"""Headless Chromium, driven by its DevTools protocol over a pipe: no further package is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WITHOUT = "no Chromium is installed; on Debian: apt-get install chromium"
PATIENCE = 60  # seconds for anything at all
_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--disable-extensions",
    "--autoplay-policy=no-user-gesture-required",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-features=Translate,MediaRouter,OptimizationHints",
]
# Chromium reads orders from descriptor 3, and answers on 4.
_LAUNCH = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
_KEYS = {" ": (32, "Space"), "Enter": (13, "Enter"), "Tab": (9, "Tab"), "Escape": (27, "Escape")}


class Browser:
    def __init__(self, folder):
        pipes = [os.pipe(), os.pipe()]
        orders, answers = (fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (pipes[0][0], pipes[1][1]))
        command = [sys.executable, "-c", _LAUNCH, str(orders), str(answers), CHROMIUM, *_FLAGS]
        with (folder / "chromium.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--user-data-dir={folder / 'profile'}", "about:blank"],
                pass_fds=(orders, answers), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "HOME": str(folder)},
            )  # fmt: skip
        for fd in (orders, answers, pipes[0][0], pipes[1][1]):
            os.close(fd)
        self._to, self._from = pipes[0][1], pipes[1][0]
        self._rest, self._ids, self.events = b"", count(1), []

    def call(self, method, session=None, **params):
        number = next(self._ids)
        order = {"id": number, "method": method, "params": params}
        if session:
            order["sessionId"] = session
        content = json.dumps(order).encode() + b"\0"
        while content:
            content = content[os.write(self._to, content) :]
        while (message := self._next()).get("id") != number:
            self.events.append(message)
        assert "error" not in message, (method, message["error"])
        return message["result"]

    def wait(self, session, method):
        """The next event of a kind, one that came already included; it is taken out."""
        while True:
            for event in self.events:
                if event.get("sessionId") == session and event["method"] == method:
                    self.events.remove(event)
                    return event["params"]
            self.events.append(self._next())

    def _next(self):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            assert ready, "Chromium says nothing"
            part = os.read(self._from, 1 << 20)
            assert part, "Chromium has ended"
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def tab(self, **how):
        return Tab(self, **how)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._to)
        os.close(self._from)


class Tab:
    def __init__(self, browser, *, width=1280, height=900, dark=False, scripts=True):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.look(dark)
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def look(self, dark):
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def goto(self, url):
        self._forget("Page.loadEventFired")
        self.call("Page.navigate", url=url)
        self.loaded()

    def loaded(self):
        self.browser.wait(self.session, "Page.loadEventFired")

    @contextmanager
    def loads(self):
        """Wait until what is done within has loaded a page."""
        self._forget("Page.loadEventFired")
        yield
        self.loaded()

    def _forget(self, method):
        self.browser.events = [
            event for event in self.browser.events
            if not (event.get("sessionId") == self.session and event["method"] == method)
        ]  # fmt: skip

    def run(self, script):
        """Value of an expression, or of what its promise comes to."""
        told = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, condition):
        """Wait until an expression is true; give its value."""
        return self.run(
            f"new Promise((done, fail) => {{ const end = Date.now() + {PATIENCE * 1000};"
            f"const look = () => {{ let v; try {{ v = ({condition}); }} catch (e) {{ v = null; }}"
            f"if (v) done(v); else if (Date.now() > end) fail(new Error('never: ' + {json.dumps(condition)}));"
            "else setTimeout(look, 20); }; look(); })"
        )

    def press(self, key, *, repeat=False):
        code, name = _KEYS.get(key, (ord(key[0].upper()), f"Key{key.upper()}"))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if kind == "keyDown" and text else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=name,
                windowsVirtualKeyCode=code,
                autoRepeat=repeat,
                **more,
            )

    def type(self, text):
        self.call("Input.insertText", text=text)

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def text(self, selector="body"):
        return self.run(f"document.querySelector({json.dumps(selector)})?.textContent.trim()")

    def complaints(self):
        """What the console, the network or a policy complained of."""
        self.run("1")
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            told = event["params"]
            if event["method"] == "Log.entryAdded" and told["entry"]["level"] in (
                "error",
                "warning",
            ):
                found.append(told["entry"])
            if event["method"] == "Runtime.exceptionThrown":
                found.append(told["exceptionDetails"])
            if event["method"] == "Runtime.consoleAPICalled" and told["type"] in (
                "error",
                "warning",
            ):
                found.append(told["args"])
        return found

    def requests(self):
        """Addresses that were asked for."""
        self.run("1")
        return [
            event["params"]["request"]["url"] for event in self.browser.events
            if event.get("sessionId") == self.session and event["method"] == "Network.requestWillBeSent"
        ]  # fmt: skip

    def picture(self, path, *, whole=False):
        content = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)[
            "data"
        ]
        Path(path).write_bytes(base64.b64decode(content))
