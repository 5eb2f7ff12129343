"""A headless Chromium, steered through a pipe by its own protocol: no driver, no package, no port.

One JSON message per command, ended by a zero byte: https://chromedevtools.github.io/devtools-protocol.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
TIMEOUT = 60
KEYS = {"Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowRight": 39, "ArrowDown": 40}
"""Windows key codes, by which Chromium tells keys that write nothing."""


def find_chromium() -> str | None:
    """Return the path of a Chromium: the one that $CHROMIUM names, or the first on the PATH."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


_AS_3_AND_4 = """import os, sys
os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])"""
"""Chromium reads commands from file descriptor 3 and writes answers to 4."""


def _pipe() -> list[int]:
    """Return a pipe's ends, away from 3 and 4."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved


class Browser:
    """One page of a headless Chromium, without network."""

    def __init__(self, executable: str, profile: Path, size: tuple[int, int] = (1440, 900)):
        to_browser, self._write = _pipe()
        self._read, from_browser = _pipe()
        command = [
            *(sys.executable, "-c", _AS_3_AND_4, str(to_browser), str(from_browser), executable),
            *("--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}"),
            *("--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
            *("--disable-dev-shm-usage", f"--window-size={size[0]},{size[1]}"),
            *("--proxy-server=127.0.0.1:9", "--disable-background-networking", "about:blank"),
        ]
        self._process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self.session = b"", 0, None
        self.errors: list[str] = []
        self.requests: list[str] = []
        pages = self.send("Target.getTargets")["targetInfos"]
        target = next(page for page in pages if page["type"] == "page")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Performance.enable", timeDomain="threadTicks")
        self.resize(*size)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT)
        os.close(self._write)
        os.close(self._read)

    def send(self, method: str, **params) -> dict:
        """Send one command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, url: str, scheme: str = "light") -> None:
        """Load a page on a light or dark system and wait for its end."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def resize(self, width: int, height: int) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, script: str):
        """Return the value of a JavaScript expression; of a promise, what it comes to."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        self.value(f"Boolean({condition}) || null")

    def value(self, expression: str):
        """Wait until a JavaScript expression has a value, and return it."""
        end = time.monotonic() + TIMEOUT
        while (value := self.run(expression)) is None:
            assert time.monotonic() < end, f"still nothing: {expression}"
            time.sleep(0.02)
        return value

    def press(self, key: str) -> None:
        """Press and release a key, named as the DOM names it."""
        event = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, 0)}
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one place, move it, and release it at another."""
        moves = [("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)]
        for kind, (x, y) in moves:
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                buttons=int(kind != "mouseReleased"),
                clickCount=1,
            )

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        place = self.center(selector)
        self.drag(place, place)

    def center(self, selector: str) -> tuple[float, float]:
        return tuple(
            self.run(
                f"""(() => {{ const element = document.querySelector({json.dumps(selector)});
                element.scrollIntoView({{block: "nearest"}});
                const r = element.getBoundingClientRect();
                return [r.x + r.width / 2, r.y + r.height / 2] }})()"""
            )
        )

    def choose(self, selector: str, value: str) -> None:
        """Set a field to a value, as a person would by choosing or typing it."""
        self.run(
            f"""(() => {{ const field = document.querySelector({json.dumps(selector)});
            field.value = {json.dumps(value)};
            for (const type of ["input", "change"])
              field.dispatchEvent(new Event(type, {{bubbles: true}})) }})()"""
        )

    def cpu_seconds(self) -> float:
        """Return the processor time that the page's main thread has taken so far."""
        metrics = self.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    def screenshot(self, path: Path) -> None:
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def _receive(self) -> dict:
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method"), message.get("params"))
        return message

    def _note(self, method: str | None, params: dict) -> None:
        """Keep what the page complains about, and what it asks the network for."""
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])
