"""One screen of the playground in a real browser, used as a learner would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.viz.browser import Browser
from viz.play.page import play_page


@contextmanager
def opening(browser: Browser, page: Path) -> Iterator[Callable[..., Browser]]:
    """Open screens of a page by a part of its address; in the end nothing may have been written, or asked for."""

    def open_screen(part: str, width: int = 1280, height: int = 720) -> Browser:
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        browser.open(f"{page.as_uri()}#screen={part}")
        browser.wait_for("document.body.dataset.screen && document.body.dataset.busy === ''", 30)
        return browser

    yield open_screen
    assert browser.console == []
    assert [r for r in browser.requests if not r.startswith(("blob:", "file:", "data:"))] == []
    browser.call("Emulation.clearDeviceMetricsOverride")


class Opened:
    """A screen that a test opens and uses.

    Args:
        browser: the browser of the tests.
        folder: where the page is saved.
        name: of the screen.
        also: other screens in the page.
    """

    def __init__(self, browser: Browser, folder: Path, name: str, *, also: Sequence[str] = ()) -> None:
        self.browser, self.name = browser, name
        self.path = folder / "play.html"
        play_page(screens=[*also, name]).save(self.path)

    def open(self, *, phone: bool = False, **settings: Any) -> None:
        """Open it with settings, and wait until it stands still."""
        width, height = (375, 812) if phone else (1280, 720)
        self.browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        self.browser.open(f"{self.path.as_uri()}#{urlencode({'screen': self.name, **settings})}")
        self.until("document.body.dataset.busy === ''")

    def evaluate(self, script: str) -> Any:
        return self.browser.evaluate(script)

    def until(self, condition: str) -> Any:
        """Wait until a condition holds; returns its value."""
        self.browser.wait_for(condition)
        return self.evaluate(condition)

    def data(self, name: str) -> str:
        return str(self.evaluate(f"document.body.dataset.{name}"))

    def text(self, selector: str) -> str:
        return str(self.evaluate(f"document.querySelector({selector!r}).textContent"))

    def count(self, selector: str) -> int:
        return int(self.evaluate(f"document.querySelectorAll({selector!r}).length"))

    def python(self) -> str:
        """The program that "Show the Python" shows."""
        self.press("#python")
        text = self.text("#python-text")
        self.evaluate("document.querySelector('#python-box .close').click()")
        return text

    # --- what a learner does ------------------------------------------------------------------------------------------

    def middle(self, selector: str, share: tuple[float, float] = (0.5, 0.5)) -> tuple[float, float]:
        """A point of an element, scrolled into view."""
        return tuple(
            self.evaluate(f"""(e => {{ e.scrollIntoView({{ block: "center" }}); const r = e.getBoundingClientRect();
                return [r.x + {share[0]} * r.width, r.y + {share[1]} * r.height];
            }})(document.querySelector({selector!r}))""")
        )

    def _at_rest(self, selector: str, share: tuple[float, float]) -> tuple[float, float]:
        """A point of an element that no longer moves: what was pressed before may still make room for a line."""
        place = self.middle(selector, share)
        for _ in range(20):
            before = place
            self.evaluate("new Promise(next => requestAnimationFrame(() => requestAnimationFrame(next))).then(() => 1)")
            place = self.middle(selector, share)
            if place == before:
                break
        return place

    def press(self, selector: str, share: tuple[float, float] = (0.5, 0.5)) -> None:
        """Click with the mouse, where the element is."""
        x, y = self._at_rest(selector, share)
        hit = self.evaluate(f"document.querySelector({selector!r}).contains(document.elementFromPoint({x}, {y}))")
        assert hit, f"{selector} is covered"
        for kind in ("mousePressed", "mouseReleased"):
            self.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float], *, touch: bool = False) -> None:
        """Drag from one point of an element to another, in shares of its width and height."""
        (x1, y1), (x2, y2) = self.middle(selector, start), self.middle(selector, end)
        self._drag(x1, y1, x2, y2, touch)

    def drag_by(self, selector: str, by: tuple[float, float], *, touch: bool = False) -> None:
        """Drag an element by some pixels."""
        x, y = self.middle(selector)
        self._drag(x, y, x + by[0], y + by[1], touch)

    def _drag(self, x1: float, y1: float, x2: float, y2: float, touch: bool) -> None:
        way = [(x1 + (x2 - x1) * k / 6, y1 + (y2 - y1) * k / 6) for k in range(7)]
        if touch:
            for i, (x, y) in enumerate(way):
                kind = "touchMove" if i else "touchStart"
                self.browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
            self.browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        self.browser.call("Input.dispatchMouseEvent", type="mousePressed", x=x1, y=y1, button="left", clickCount=1)
        for x, y in way[1:]:
            self.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self.browser.call("Input.dispatchMouseEvent", type="mouseReleased", x=x2, y=y2, button="left", clickCount=1)

    def slide(self, selector: str, *values: float) -> None:
        """Move a slider over some values and let it go."""
        self.evaluate(f"""(e => {{
            for (const x of {list(values)}) {{ e.value = x; e.dispatchEvent(new Event("input", {{ bubbles: true }})); }}
            e.dispatchEvent(new Event("change", {{ bubbles: true }}));
        }})(document.querySelector({selector!r}))""")

    def fill(self, selector: str, text: str) -> None:
        """Replace the text of a field, and leave it."""
        self.evaluate(f"document.querySelector({selector!r}).focus(); document.querySelector({selector!r}).select()")
        self.browser.type(text)
        self.evaluate(f"document.querySelector({selector!r}).dispatchEvent(new Event('change', {{ bubbles: true }}))")

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list."""
        self.evaluate(f"""(e => {{ e.value = {value!r}; e.dispatchEvent(new Event("change", {{ bubbles: true }})); }})(
            document.querySelector({selector!r}))""")

    def key(self, key: str, text: str = "") -> None:
        self.browser.key(key, text)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Check that nothing was written to the console and nothing was asked from a network."""
        assert self.browser.console == []
        assert [url for url in self.browser.requests if not url.startswith(("file:", "blob:"))] == []

    def small_targets(self) -> list[str]:
        """What can be touched, is shown, and is lower than 40 pixels."""
        return list(
            self.evaluate("""[...document.querySelectorAll("#place :is(button, select, input:not([type=checkbox]))")]
                .filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 39.5)
                .map(e => e.outerHTML.slice(0, 90))""")
        )


def program(text: str) -> str:
    """What a Python program prints."""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return done.stdout.strip()
