"""Drive a headless Chromium over a pipe with its debugging protocol: real keys, real pages, no extra package."""

import importlib.util
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_AXE = importlib.util.find_spec("axe_playwright_python")
AXE = Path(_AXE.origin).with_name("axe.min.js") if _AXE and _AXE.origin else None  # the only file of it that is used


class Navigated(Exception):
    """The page navigated while a script was being evaluated."""


class Browser:
    """One page in one browser.

    Attributes:
        console: every error or message that the page wrote.
        requests: every address that the page asked for.
    """

    def __init__(self, folder):
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()

        def connect():  # the protocol uses file descriptors 3 and 4
            a, b = os.dup(to_child), os.dup(from_child)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self._process = subprocess.Popen(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                "--disable-background-networking", "--disable-dev-shm-usage", "--window-size=1280,720",
                f"--user-data-dir={folder}", "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=connect,
        )  # fmt: skip
        os.close(to_child)
        os.close(from_child)
        self._buffer = b""
        self._count = 0
        self._session = None
        self.console = []
        self.requests = []
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive(30)
            if answer.get("id") == self._count:
                if "navigated" in answer.get("error", {}).get("message", ""):
                    raise Navigated
                assert "error" not in answer, answer
                return answer["result"]

    @contextmanager
    def recording_tasks(self):
        """Record what the page's main thread does.

        Yields:
            a list that holds in the end, for each task, the milliseconds of CPU time it took: what other programs do on
            this machine is not in them.
        """
        times = []
        self._traced, self._tracing = [], True
        self.call("Tracing.start", traceConfig={"includedCategories": ["toplevel", "blink.user_timing"]})
        self.evaluate("performance.mark('the main thread'); 0")
        try:
            yield times
        finally:
            self.call("Tracing.end")
            while self._tracing:
                self._receive(30)
        where = next((one["pid"], one["tid"]) for one in self._traced if one["name"] == "the main thread")
        tasks = (one for one in self._traced if (one["pid"], one["tid"]) == where and one["name"].endswith("RunTask"))
        times.extend(one["tdur"] / 1000 for one in tasks if "tdur" in one)

    def _receive(self, seconds):
        """Return the next message, and record events before it."""
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._read, 1 << 20)
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        match message.get("method"):
            case "Runtime.consoleAPICalled":
                self.console.append(str(message["params"]["args"]))
            case "Runtime.exceptionThrown":
                self.console.append(str(message["params"]["exceptionDetails"]))
            case "Log.entryAdded":
                self.console.append(message["params"]["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Tracing.dataCollected":
                self._traced += message["params"]["value"]
            case "Tracing.tracingComplete":
                self._tracing = False
        return message

    def open(self, address):
        """Load a page from scratch and wait until its scripts have run."""
        self.call("Page.navigate", url="about:blank")
        self.console.clear()
        self.requests.clear()
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'", 60)

    def evaluate(self, script):
        """Return the value of a script in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while not self._is_true(condition):
            assert time.monotonic() < end, f"never became true: {condition}"
            time.sleep(0.01)

    def _is_true(self, condition):
        try:
            return self.evaluate(condition)
        except Navigated:  # ask the next page
            return False

    def key(self, key, text=""):
        """Press and release a key, as a person would."""
        parameters = {"key": key, "code": key, "windowsVirtualKeyCode": _CODES.get(key, 0)}
        if text:
            parameters |= {"text": text, "unmodifiedText": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **parameters)
        self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)


_CODES = {
    "Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36, "ArrowLeft": 37,
    "ArrowRight": 39, "F5": 116, "/": 191,
}  # fmt: skip
