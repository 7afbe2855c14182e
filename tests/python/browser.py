"""A headless Chromium and one page in it, driven by the DevTools protocol over a pipe.

Messages are JSON with a NUL behind each, on the descriptors 3 and 4 (``--remote-debugging-pipe``),
so no library is needed and no port is open. Keeps everything that the page asked for and all
that was said on its console. Downloads nothing: whoever uses it asks ``need("browser")`` first.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 60
_NAMES = ("chromium", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # which root has none of
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
# The pipes of Popen are 0 and 1, and Chromium's are 3 and 4.
_SWAPPED = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'


def find() -> str | None:
    """Return the path of a Chromium."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """One page: what it asked for, what its console heard, and hands on its mouse and keys.

    ``requests`` holds the addresses of all that was asked for, ``refused`` those that the page's
    own policy did not let through.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.console: list[str] = []
        self._process = process
        self._buffer = b""
        self._session: str | None = None
        self._addresses: dict[str, str] = {}
        self._calls = 0
        self._is_loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; hear events in the meantime."""
        self._calls += 1
        message: dict[str, Any] = {"id": self._calls, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            heard = self._hear()
            if heard.get("id") == self._calls:
                assert "error" not in heard, heard
                result: dict[str, Any] = heard["result"]
                return result

    def open(self, file: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open a file in a window of this size; return when it has loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self._is_loaded = False
        self.call("Page.navigate", url=file.as_uri())
        while not self._is_loaded:
            self._hear()
        # What was reported while it loaded has come before the answer to this.
        self.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def run(self, script: str) -> Any:
        """Return the value of an expression of JavaScript."""
        told = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def point(self, script: str, *, press: bool = False) -> None:
        """Move the mouse into the left of the element that an expression has; click there."""
        self.run(f"({script}).scrollIntoView({{block: 'center'}})")
        at = self.run(f"({script}).getBoundingClientRect().toJSON()")
        x, y = at["x"] + min(10, at["width"] / 2), at["y"] + at["height"] / 2
        kinds = ["mouseMoved", *(["mousePressed", "mouseReleased"] if press else [])]
        for kind in kinds:
            button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def press(self, key: str) -> None:
        """Press a key and let it go, by its name in KeyboardEvent.key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if (kind, key) == ("keyDown", "Enter") else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **text)

    def write(self, text: str) -> None:
        """Put text where the focus is."""
        self.call("Input.insertText", text=text)

    def _hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._next())
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
                self._addresses[params["requestId"]] = params["request"]["url"]
            case "Network.loadingFailed" if params.get("blockedReason") == "csp":
                self.refused.append(self._addresses[params["requestId"]])
            case "Runtime.consoleAPICalled":
                self.console.append(json.dumps(params["args"]))
            case "Runtime.exceptionThrown":
                self.console.append(json.dumps(params["exceptionDetails"]))
            case "Log.entryAdded":
                self.console.append(params["entry"]["text"])
            case "Page.loadEventFired":
                self._is_loaded = True
        return message

    def _next(self) -> bytes:
        assert self._process.stdout is not None
        until = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._process.stdout], [], [], until - time.monotonic())
            assert ready, "the browser says nothing"
            more = os.read(self._process.stdout.fileno(), 1 << 16)
            assert more, f"the browser has gone: {self._process.poll()}"
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return message


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Start a Chromium with a profile of its own, in this new directory, and end it."""
    command = ["sh", "-c", _SWAPPED, str(find()), *_OPTIONS, f"--user-data-dir={profile}"]
    # Nothing of whoever runs the tests is used or left behind.
    env = os.environ | {"HOME": str(profile)}
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            page = Page(process)
            yield page
            page.call("Browser.close")
            process.wait(SECONDS)
        finally:
            process.kill()
