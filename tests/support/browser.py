"""A headless Chromium, driven by the WebDriver protocol (https://www.w3.org/TR/webdriver2/) over HTTP.

``chromedriver`` answers it, so that no package is needed to speak it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from .proc import KEPT

CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER: Final = shutil.which("chromedriver")
MISSING: Final = "needs Chromium and its driver: install chromium and chromium-driver"

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)

# As WebDriver writes keys that are no characters.
KEYS: Final = {
    "Shift": "\ue008",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "End": "\ue010",
    "Home": "\ue011",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
    "Tab": "\ue004",
}


def usable() -> bool:
    """Whether there is a browser here."""
    return CHROMIUM is not None and DRIVER is not None


class Browser:
    """One window."""

    def __init__(self, port: int, session: str) -> None:
        self._port, self._session = port, session

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return _call(self._port, method, f"/session/{self._session}{path}", body)

    def open(self, page: Path, *, dark: bool = False, size: tuple[int, int] = (1280, 800)) -> None:
        self.cdp(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        width, height = size
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("POST", "/url", {"url": page.absolute().as_uri()})

    def cdp(self, command: str, **params: Any) -> Any:
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script: str, *arguments: Any) -> Any:
        """Give what a function body returns; a promise is waited for."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def painted(self) -> None:
        """Wait until what was asked to be drawn is drawn."""
        self.run(
            "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    def press(self, *keys: str) -> None:
        """Press keys one after the other; ``Shift+Left`` holds the first one."""
        actions = []
        for key in keys:
            parts = [KEYS.get(part, part) for part in key.split("+")] if len(key) > 1 else [key]
            actions += [{"type": "keyDown", "value": part} for part in parts]
            actions += [{"type": "keyUp", "value": part} for part in reversed(parts)]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self.call("POST", "/actions", {"actions": [source]})

    def click(self, x: float, y: float) -> None:
        self.drag((x, y))

    def drag(self, start: tuple[float, float], *ways: tuple[float, float]) -> None:
        """Press the mouse's button at a place, move it there and there, and let it go."""
        moves = [
            {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)} for x, y in (start, *ways)
        ]
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        self.call("POST", "/actions", {"actions": [{**mouse, "actions": [moves[0], down, *moves[1:], up]}]})

    def wheel(self, x: float, y: float, by: int) -> None:
        turn = {"type": "scroll", "x": round(x), "y": round(y), "deltaX": 0, "deltaY": by, "duration": 0}
        self.call("POST", "/actions", {"actions": [{"type": "wheel", "id": "wheel", "actions": [turn]}]})

    def screenshot(self) -> bytes:
        self.painted()
        return base64.b64decode(self.call("GET", "/screenshot"))

    def complaints(self) -> list[str]:
        """What the console says: exceptions, and what the page's policy refused."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]


def _call(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        text = json.dumps(body or {}) if method == "POST" else None
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        value = json.loads(answer.read())["value"]
    finally:
        connection.close()
    if answer.status != 200:
        raise AssertionError(f"{method} {path}: {value}")
    return value


@attrs.frozen
class _Driver:
    pid: int
    descriptor: int


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser for the length of a block, with a profile of its own that nothing is left of."""
    assert CHROMIUM is not None
    assert DRIVER is not None
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        # Home too: what Chromium writes there would be found by nobody.
        env = {
            **os.environ,
            "HOME": folder,
            "TMPDIR": folder,
            "XDG_CONFIG_HOME": folder,
            "XDG_CACHE_HOME": folder,
        }
        driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0, env=env
        )
        assert driver.stdout is not None
        kept = _Driver(driver.pid, driver.stdout.fileno())
        KEPT.append(kept)
        try:
            port = _port(driver.stdout)
            options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={folder}/profile"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            made = _call(port, "POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            browser = Browser(port, made["sessionId"])
            try:
                yield browser
            finally:
                browser.call("DELETE", "")
        finally:
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
            driver.stdout.close()
            KEPT.remove(kept)


def _port(output: Any) -> int:
    for line in output:
        words = line.decode().strip().rstrip(".").split()
        if b"was started successfully on port" in line:
            return int(words[-1])
    raise AssertionError("chromedriver did not start")
