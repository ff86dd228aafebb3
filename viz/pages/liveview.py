"""A page that follows the session: live coding on one screen, the graph on the projector.

>>> view = live(open_browser=False)  # doctest: +ELLIPSIS
live at http://127.0.0.1:...
>>> view.address.startswith("http://127.0.0.1:")
True
>>> from tinygrad_edu import Value
>>> show(Value(2.0, label="a") * 3.0)
>>> view.close()

The view is private: unless it is shared, the server listens on this machine only. The address contains a secret, and
requests under another host name are refused, so that no web page can reach it through a name that points here (DNS
rebinding). A connection that has not sent the secret after some seconds is closed, and so is the oldest such connection
if there are too many, so viewers cannot be locked out. A view belongs to the process that opened it; in a forked child
it is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import re
import secrets
import socket
import sys
import threading
import time
import weakref
import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.nested import values_in

from .. import style
from ..drawing import draw
from ..errors import DrawingError
from ..graph import age
from ..graph.build import build
from ..names import Names, names_of
from ..rendering import dot
from ..rendering.templates import asset, fill, head, policy
from ..rendering.theme import picture_rules

_HEARTBEAT = 10.0  # seconds between signs of life, without which a closed browser would go unnoticed

_PATIENCE = 10.0  # seconds in which a connection must send the secret, and a browser must take an answer
_MOST = 128  # connections at a time: a class and its teacher

_current: LiveView | None = None
_open: weakref.WeakSet[LiveView] = weakref.WeakSet()


def live(*, port: int = 0, open_browser: bool = True, share: bool = False) -> LiveView:
    """Serve a page on this machine that redraws whenever :func:`show` is called; in IPython also after every cell.

    There is one view per session: a second call returns the first view. It ends with the session.

    Args:
        port: the port to listen on; 0 takes any free port.
        open_browser: whether to open the page.
        share: whether other machines on this network may watch, too, as students in a class. They need the link that is
            printed, and can change nothing; but the link and the pictures are not encrypted on their way.

    Raises DrawingError if the port is taken, or if a view is already open that is not shared as wanted.
    """
    global _current
    if not 0 <= port <= 65_535:
        raise ValueError(f"port must be from 0 to 65,535, got {port}")
    if _current is None or _current.is_closed:
        _current = LiveView(port, share=share)
        _follow_cells(_current)
        print(f"live at {_current.address}")
        if share:
            print(_current.warning)
    elif share and not _current.shared:
        raise DrawingError("the live view is open for this machine only; close() it, then live(share=True)")
    if open_browser:
        webbrowser.open(_current.address)
    return _current


def show(value: Any, **options: Any) -> None:
    """Draw ``value`` in the live view: anything that :func:`viz.draw` takes, with its options, or what it returned.

    Raises DrawingError if there is no live view yet.
    """
    if _current is None or _current.is_closed:
        raise DrawingError("there is no live view; start one with viz.live()")
    _current.show(value, **options)


class LiveView:
    """The server of a live view.

    Attributes:
        address: the address of the page, with its secret.
        shared: the same for other machines on this network; empty if they may not watch.
    """

    def __init__(self, port: int = 0, *, share: bool = False) -> None:
        self._token = secrets.token_urlsafe(16)
        self._changed = threading.Condition()
        self._version = 0
        self._event = ""
        self._last: tuple[Any, dict[str, Any]] | None = None
        self.is_closed = False
        try:
            self._server = _Server(("0.0.0.0" if share else "127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise DrawingError(f"cannot listen on port {port}: {error}; port=0 takes a free one") from None
        self._server.view = self
        hosts = ["127.0.0.1", "localhost", *([_own_address()] if share else [])]
        #: The names under which it answers; no other, so that no web page can reach it through a name (DNS rebinding).
        self.hosts = [f"{host}:{self._server.server_port}" for host in hosts]
        self.name = hosts[-1] if share else hosts[0]
        self.address = f"http://{self.hosts[0]}/{self._token}/"
        self.shared = f"http://{self.hosts[-1]}/{self._token}/" if share else ""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="viz.live", daemon=True).start()
        atexit.register(self.close)
        _open.add(self)

    def __repr__(self) -> str:
        return f"LiveView({self.address!r}{', closed' if self.is_closed else ''})"

    @property
    def warning(self) -> str:
        """What somebody who shares the view has to know; empty if it is not shared."""
        if not self.shared:
            return ""
        return (
            f"students on this network: {self.shared}\n"
            "warning: everybody on this network who has this link sees every picture, until the session ends. They can "
            "change nothing. Nothing is encrypted: share it in a class, not on a network of strangers."
        )

    def show(self, value: Any, **options: Any) -> None:
        """Draw ``value`` for all viewers; a finished drawing or chart is shown as it is.

        If a number was changed after something had been computed from it, as when trying ``a.data = 5.0``, the picture
        shows the recomputed result, with a note; the Values themselves stay as they are.
        """
        words = ""
        if isinstance(value, dot.Drawing):
            svg = value.render_bytes("svg").decode()
        elif hasattr(value, "svg"):
            # The page allows no style sheets but its own; the shapes of a chart have its colors too.
            svg = re.sub(r"<style>.*?</style>", "", value.svg(), flags=re.DOTALL)
        else:
            with age.recomputed(build(values_in(value))) as is_new:
                svg = draw(value, **options).render_bytes("svg").decode()
                words = _words(value, options.get("names")) if isinstance(value, Value) else ""
            if is_new:
                kept = f"; it still holds {style.number(value.data)}" if isinstance(value, Value) else ""
                words = f"{words} · recomputed from the current numbers{kept}".removeprefix(" · ")
        self._last = (value, options)
        with self._changed:
            self._event = json.dumps({"svg": svg, "words": words})
            self._version += 1
            self._changed.notify_all()

    @property
    def picture(self) -> str:
        """What is shown, for :meth:`bring_back`; empty at the beginning."""
        return self._event

    def bring_back(self, picture: str) -> None:
        """Show an earlier picture as it was."""
        with self._changed:
            self._event = picture
            self._version += 1
            self._changed.notify_all()

    def show_again(self, **options: Any) -> None:
        """Redraw what was shown last; ``options`` are for what was not chosen then."""
        if self._last is not None:
            self.show(self._last[0], **{**options, **self._last[1]})

    def close(self) -> None:
        """Stop serving; open pages keep the last picture."""
        if not self.is_closed:
            self.is_closed = True
            with self._changed:
                self._changed.notify_all()
            self._server.shutdown()
            self._server.server_close()
            atexit.unregister(self.close)

    def _leave_to_parent(self) -> None:
        """Close the view in a forked child: close its copies of the sockets; the serving thread does not exist
        there."""
        self.is_closed = True
        self._changed = threading.Condition()  # the old lock may have been held at the moment of the fork
        self._server.server_close()
        for connection in self._server.deadlines:
            connection.close()

    def _wait(self, seen: int) -> tuple[int, str]:
        """Wait for a picture newer than ``seen``; return the old number after a while."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen or self.is_closed, _HEARTBEAT)
            return self._version, self._event


def _own_address() -> str:
    """The address of this machine on its network; that of the machine itself if there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: this only asks which way packets would take
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _words(value: Value, names: Names | None) -> str:
    name = style.visible(value.label or names_of(names).get(value, "result"))
    return f"{name} = {style.number(value.data)}"


def _leave_to_parent() -> None:
    for view in list(_open):
        view._leave_to_parent()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_leave_to_parent)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    view: LiveView

    def __init__(self, *arguments: Any) -> None:
        self._lock = threading.Lock()
        #: Every open connection and its deadline for sending the secret; inf once it has.
        self.deadlines: dict[socket.socket, float] = {}
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one more connection; if there are too many, close the oldest without the secret."""
        with self._lock:
            if len(self.deadlines) >= _MOST:
                oldest = min(self.deadlines, key=self.deadlines.__getitem__)
                if self.deadlines[oldest] == math.inf:  # all of them are viewers
                    oldest = request
                self._drop(oldest)
            self.deadlines[request] = time.monotonic() + _PATIENCE
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Close connections that have waited too long; called many times a second."""
        now = time.monotonic()
        with self._lock:
            for connection in [c for c, deadline in self.deadlines.items() if deadline < now]:
                self._drop(connection)

    def shutdown_request(self, request: Any) -> None:
        """Forget a finished connection."""
        with self._lock:
            self.deadlines.pop(request, None)
        super().shutdown_request(request)

    def welcome(self, connection: socket.socket) -> None:
        """Keep a connection that has sent the secret."""
        with self._lock:
            if connection in self.deadlines:
                self.deadlines[connection] = math.inf

    def _drop(self, connection: socket.socket) -> None:
        self.deadlines.pop(connection, None)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # this wakes threads that read from it or write to it

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that was closed in the middle of an answer."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # the answer to an unreadable request has a head, too
    timeout = _PATIENCE
    raw_requestline: bytes
    policy = "default-src 'none'"

    def parse_request(self) -> bool:
        """Read the head of a request; HTTP/0.9 has none, so it is refused before waiting for one."""
        words = self.raw_requestline.split()
        if len(words) == 2 or words[2:] == [b"HTTP/0.9"]:
            self.command = self.requestline = ""
            self.request_version = self.default_request_version
            self.send_error(HTTPStatus.BAD_REQUEST, "HTTP/0.9 is not spoken here")
            return False
        return super().parse_request()

    def do_GET(self) -> None:
        view = self.server.view
        if self.headers.get_all("Host") not in [[host] for host in view.hosts]:
            return self._refuse(HTTPStatus.FORBIDDEN, f"this page answers to {view.name} only")
        token, _, path = self.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), view._token.encode()):
            return self._refuse(HTTPStatus.FORBIDDEN, "the address needs the secret that viz.live() printed")
        self.server.welcome(self.connection)
        if path == "":
            return self._page()
        if path == "events":
            return self._events(view)
        return self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        # Even if a label ever became markup, the page would run only its own script.
        exceptions = ("; connect-src 'self'", nonce)
        top = head("live", picture_rules() + asset("live.css"), *exceptions)
        body = fill(asset("live.html"), {"NONCE": nonce, "HEAD": top, "THEME": asset("theme.js")}).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.policy = policy(*exceptions)
        self.end_headers()
        self.wfile.write(body)

    def _events(self, view: LiveView) -> None:
        """Send server-sent events, one per picture, until the page is closed."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        seen = 0
        while not view.is_closed:
            version, event = view._wait(seen)
            self.wfile.write(f"data: {event}\n\n".encode() if version != seen else b": still here\n\n")
            self.wfile.flush()
            seen = version

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        body = words.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """End the head with fields common to all answers, the error pages of http.server included."""
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Connection", "close")  # one request each, so it is a stranger's or a viewer's
        super().end_headers()

    def version_string(self) -> str:
        """The name of the server, without the version of Python."""
        return "viz"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the terminal belongs to the session."""


def _follow_cells(view: LiveView) -> None:
    """In IPython: after every cell draw its result if it is a Value, else redraw what was shown last."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    if shell is None:
        return

    def after_cell(result: Any) -> None:
        if view.is_closed:
            shell.events.unregister("post_run_cell", after_cell)
            return
        value = getattr(result, "result", None)
        try:
            if isinstance(value, Value):
                view.show(value, names=shell.user_ns)
            else:
                view.show_again(names=shell.user_ns)
        except DrawingError as error:  # a cell that worked must not fail because of a picture
            print(f"live: {error}")

    shell.events.register("post_run_cell", after_cell)
