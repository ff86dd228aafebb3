"""The live view: pictures reach every authorized viewer and no one else."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

import viz
from tests.viz.browser import Browser
from tinygrad_edu import Value
from viz.errors import DrawingError
from viz.pages import liveview
from viz.pages.liveview import LiveView

drawn = pytest.mark.layout

PICTURE = SimpleNamespace(svg=lambda: "<svg/>")


@pytest.fixture
def view(capsys):
    view = viz.live(open_browser=False)
    assert capsys.readouterr().out == f"live at {view.address}\n"
    yield view
    view.close()


class Listener:
    """A viewer that reads events as they arrive."""

    def __init__(self, view):
        self.response = urllib.request.urlopen(f"{view.address}events", timeout=10)

    def next(self):
        while True:
            line = self.response.readline().decode()
            assert line, "the stream ended"
            if line.startswith("data: "):
                return json.loads(line[6:])


def ask(view, path, host=None):
    """Return status and body for a request under any host name."""
    parts = urlsplit(view.address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host or parts.netloc)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def expression():
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    c = a * b
    c.label = "c"
    return c


@drawn
def test_a_picture_reaches_every_viewer(view):
    first, second = Listener(view), Listener(view)
    viz.show(expression())
    for listener in (first, second):
        event = listener.next()
        assert event["words"] == "c = −6"
        assert (event["svg"].count("<g id="), event["svg"].count('class="edge"')) == (3, 2)
    first.response.close()  # a closed browser does not disturb the others
    viz.show(Value(4.0, "later"))
    assert second.next()["words"] == "later = 4"
    assert Listener(view).next()["words"] == "later = 4"  # a late viewer gets the current picture
    viz.show(viz.draw(expression()))
    assert "<svg" in second.next()["svg"]


def test_access_needs_the_secret(view):
    token_path = urlsplit(view.address).path
    status, body = ask(view, token_path)
    assert status == 200
    assert "EventSource" in body
    for path in ("/", "/events", "/wrong/", "/wrong/events", token_path[:-1] + "x/", token_path.lower().swapcase()):
        status, body = ask(view, path)
        assert (status, "secret" in body) == (403, True), path
    assert ask(view, token_path + "nothing")[0] == 404
    assert ask(view, token_path + "../../etc/passwd")[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost.evil.example", "[::1]:80", ""]
)
def test_another_host_name_is_refused(view, host):
    port = urlsplit(view.address).port
    status, body = ask(
        view, urlsplit(view.address).path, host=f"{host}:{port}" if host == "evil.example" else host or " "
    )
    assert (status, body) == (403, "this page answers to 127.0.0.1 only")


def test_two_host_names_are_refused(view):
    own, path = f"Host: {urlsplit(view.address).netloc}", urlsplit(view.address).path
    for hosts in ([own, "Host: evil.example"], ["Host: evil.example", own], [own, own], []):
        assert answer(view, "\r\n".join([f"GET {path} HTTP/1.1", *hosts, "", ""]).encode()).startswith("HTTP/1.1 403")
    assert answer(view, f"GET {path} HTTP/1.1\r\n{own}\r\n\r\n".encode()).startswith("HTTP/1.1 200")


def test_a_shared_view_can_be_watched_with_its_link_and_nothing_more(capsys):
    view = viz.live(open_browser=False, share=True)
    try:
        out = capsys.readouterr().out
        assert f"students on this network: {view.shared}" in out
        assert "warning: everybody on this network who has this link" in out
        link = urlsplit(view.shared)
        assert view._server.server_address[0] == "0.0.0.0"
        assert ask(view, link.path, host=link.netloc)[0] == 200
        assert ask(view, "/", host=link.netloc)[0] == 403
        assert ask(view, link.path, host=f"evil.example:{link.port}") == (403, f"this page answers to {view.name} only")
        post = f"POST {link.path} HTTP/1.1\r\nHost: {link.netloc}\r\nContent-Length: 0\r\n\r\n"
        assert answer(view, post.encode()).startswith("HTTP/1.1 501")  # nothing but looking
    finally:
        view.close()


def test_a_view_for_this_machine_is_not_shared_silently(view):
    assert view.shared == view.warning == ""
    with pytest.raises(DrawingError, match=r"for this machine only; close\(\) it, then live\(share=True\)"):
        viz.live(open_browser=False, share=True)


def test_an_earlier_picture_comes_back(view):
    listener = Listener(view)
    viz.show(Value(1.0, "one"))
    first = view.picture
    assert listener.next()["words"] == "one = 1"
    viz.show(Value(2.0, "two"))
    assert listener.next()["words"] == "two = 2"
    view.bring_back(first)
    assert listener.next()["words"] == "one = 1"


def test_it_listens_on_this_machine_only(view):
    assert view._server.server_address[0] == "127.0.0.1"
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:  # the machine does not know its own name
        addresses = set()
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, urlsplit(view.address).port), timeout=1):
            pass


def answer(view, request):
    """Return everything the server sends for some bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", urlsplit(view.address).port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /", 400),  # HTTP/0.9 has no headers, so none are awaited
        ("GET / HTTP/0.9", 400),
        ("POST / HTTP/1.1", 501),
        ("OPTIONS / HTTP/1.0", 501),
        ("GET / HTTP/1.x", 400),
        ("GET / HTTP/3.0", 505),
        ("HELLO", 400),
        ("a b c d", 400),
        ("GET /" + "x" * 65_540 + " HTTP/1.1", 414),
        ("GET / HTTP/1.1\r\nX: " + "x" * 65_540, 431),
        ("GET / HTTP/1.1\r\nHost: evil.example", 403),
    ],
    ids=lambda case: str(case)[:20],
)
def test_every_refusal_has_the_same_head(view, request_line, status):
    end = "\r\n" if status == 400 else "\r\n\r\n"  # no more than the server reads, or the response may get lost
    head = answer(view, f"{request_line}{end}".encode()).partition("\r\n\r\n")[0].split("\r\n")
    assert head[0].startswith(f"HTTP/1.1 {status} ")
    assert {
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Connection: close",
        "Server: viz",
    } <= {*head}


@pytest.mark.parametrize("drip", [b"", b"X", b"GET / HTTP/1.1\r\nHost: "])
def test_a_slow_connection_without_the_secret_is_closed_in_time(view, monkeypatch, drip):
    monkeypatch.setattr(liveview, "_PATIENCE", 0.3)
    with socket.create_connection(("127.0.0.1", urlsplit(view.address).port), timeout=10) as connection:
        connection.settimeout(0.05)
        for _ in range(400):  # much longer than allowed, although a byte arrives now and then
            try:
                connection.sendall(drip)
                if connection.recv(1000) == b"":
                    break
            except TimeoutError:
                pass
            except OSError:
                break
        else:
            pytest.fail("it was still open")


def test_strangers_cannot_lock_out_viewers_or_exhaust_memory(view, monkeypatch):
    monkeypatch.setattr(liveview, "_MOST", 5)
    viewer = Listener(view)
    before = threading.active_count()
    port = urlsplit(view.address).port
    strangers = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
    assert strangers[0].recv(1) == b""  # the oldest had to go
    assert ask(view, urlsplit(view.address).path)[0] == 200
    assert threading.active_count() <= before + 6
    assert len(view._server.deadlines) <= 5
    viz.show(PICTURE)
    assert "<svg" in viewer.next()["svg"]
    for stranger in strangers:
        stranger.close()


def test_too_many_viewers_are_refused_and_the_first_ones_are_kept(view, monkeypatch):
    monkeypatch.setattr(liveview, "_MOST", 2)
    first, second = Listener(view), Listener(view)
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{view.address}events", timeout=10)
    viz.show(PICTURE)
    assert "<svg" in first.next()["svg"]
    assert "<svg" in second.next()["svg"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "view.close(); os._exit(0)"])
def test_a_view_belongs_to_the_process_that_opened_it(end):
    code = f"""
import os, sys, urllib.request, warnings, viz
from viz.errors import DrawingError
warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: what is tried here
view = viz.live(open_browser=False)
sys.stdout.flush()
view._changed.acquire()  # a fork at the worst moment
child = os.fork()
if child == 0:
    assert view.is_closed
    try:
        viz.show(None)
        os._exit(1)
    except DrawingError:
        pass
    {end}
view._changed.release()
assert os.waitpid(child, 0)[1] == 0
assert not view.is_closed
assert urllib.request.urlopen(view.address).status == 200
view.close()
print("served to the end")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("served to the end\n")


def test_one_view_per_session(view, capsys):
    assert viz.live(open_browser=False) is view
    assert capsys.readouterr().out == ""
    view.close()
    view.close()
    with pytest.raises(DrawingError, match=r"there is no live view; start one with viz\.live\(\)"):
        viz.show(expression())
    assert repr(view).endswith("closed)")
    again = viz.live(open_browser=False)
    assert again is not view
    again.close()


def test_a_port_that_is_taken(view):
    port = urlsplit(view.address).port
    with pytest.raises(DrawingError, match=rf"cannot listen on port {port}.*port=0 takes a free one"):
        LiveView(port)
    with pytest.raises(DrawingError, match="cannot listen on port 70000"):
        LiveView(70000)


def test_the_session_can_end_while_a_viewer_is_connected():
    code = """
import urllib.request, viz
from tinygrad_edu import Value
view = viz.live(open_browser=False)
stream = urllib.request.urlopen(view.address + "events")
viz.show(Value(1.0))
print(stream.readline()[:5])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("b'data:'\n")


@drawn
def test_in_ipython_it_follows_the_cells(monkeypatch, capsys):
    registered = {}
    shell = SimpleNamespace(
        events=SimpleNamespace(register=registered.__setitem__, unregister=lambda name, _: registered.pop(name)),
        user_ns={},
    )
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    view = viz.live(open_browser=False)
    listener = Listener(view)
    after_cell = registered["post_run_cell"]
    after_cell(SimpleNamespace(result=None))  # no picture yet: nothing happens
    value = expression()
    after_cell(SimpleNamespace(result=value))
    assert "–" in listener.next()["svg"]
    value.backward()
    after_cell(SimpleNamespace(result=None))
    assert "–" not in listener.next()["svg"].split("</g>", 2)[2].replace("-->", "")
    shell.user_ns["mine"] = total = Value(1.0) + 2.0
    after_cell(SimpleNamespace(result=total))
    assert listener.next()["words"] == "mine = 3"
    shell.user_ns["other"] = total.inputs[0]
    after_cell(SimpleNamespace(result=None))
    assert ">other</text>" in listener.next()["svg"]
    view.close()
    after_cell(SimpleNamespace(result=value))
    assert registered == {}


@drawn
@pytest.mark.browser
def test_in_a_browser(view, tmp_path):
    browser = Browser(tmp_path)
    try:
        browser.open(view.address)
        browser.wait_for("$('state').textContent === 'live'")
        viz.show(expression())
        browser.wait_for("$('words').textContent === 'c = −6' && document.querySelector('#picture svg') !== null")
        picture = "getComputedStyle(document.querySelector('#picture svg > rect')).fill"
        paper = f"{picture} + getComputedStyle(document.body).backgroundColor"
        for scheme, color in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(22, 24, 27)")):
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert browser.evaluate(paper) == 2 * color
        browser.evaluate("$('theme').click()")
        assert browser.evaluate(paper) == 2 * "rgb(255, 255, 255)"
        evil = '<script>document.title = "broken"</script><img src=x onerror="document.title = 1">'
        viz.show(Value(1.0, evil) * Value(2.0, "]]> & \\N {x|y}"))
        browser.wait_for("$('words').textContent === 'result = 2'")
        assert "<script>" in browser.evaluate("$('picture').textContent")
        assert browser.evaluate("document.title") == "live"
        assert browser.evaluate("document.querySelectorAll('#picture script, #picture img').length") == 0
        viz.show(Value(1.0, evil))
        browser.wait_for("$('words').textContent.startsWith('<script>')")
        assert browser.evaluate("document.title") == "live"
        assert browser.console == []
        assert {urlsplit(address).netloc for address in browser.requests if address.startswith("http")} == {
            urlsplit(view.address).netloc
        }
    finally:
        browser.close()
