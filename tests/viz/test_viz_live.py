"""The live view: what is shown appears, for everyone who may look and for nobody else."""

import http.client
import json
import socket
import subprocess
import sys
import urllib.request
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from browser import CHROMIUM, Browser

import viz
from tinygrad_edu import Value
from viz.errors import DrawingError
from viz.pages.liveview import LiveView
from viz.rendering import layout

drawn = pytest.mark.skipif(not list(layout._installed()), reason="no layout program is installed")


@pytest.fixture
def view(capsys):
    view = viz.live(open_browser=False)
    assert capsys.readouterr().out == f"live at {view.address}\n"
    yield view
    view.close()


class Listener:
    """Somebody who looks: reads the events as they come."""

    def __init__(self, view):
        self.response = urllib.request.urlopen(f"{view.address}events", timeout=10)

    def next(self):
        while True:
            line = self.response.readline().decode()
            assert line, "the stream ended"
            if line.startswith("data: "):
                return json.loads(line[6:])


def ask(view, path, host=None):
    """Status and body for a request under any host name."""
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
def test_what_is_shown_reaches_every_viewer(view):
    first, second = Listener(view), Listener(view)
    viz.show(expression())
    for listener in (first, second):
        event = listener.next()
        assert event["words"] == "c = −6"
        assert event["svg"].count("<g id=") > 3
    first.response.close()  # a browser that is closed disturbs nobody
    viz.show(Value(4.0, "later"))
    assert second.next()["words"] == "later = 4"
    assert Listener(view).next()["words"] == "later = 4"  # who comes late sees what is there
    viz.show(viz.draw(expression()))
    assert "<svg" in second.next()["svg"]


def test_nobody_without_the_secret(view):
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
def test_nobody_under_another_host_s_name(view, host):
    port = urlsplit(view.address).port
    status, body = ask(
        view, urlsplit(view.address).path, host=f"{host}:{port}" if host == "evil.example" else host or " "
    )
    assert (status, body) == (403, "this page answers to 127.0.0.1 only")


def test_it_listens_on_this_machine_only(view):
    assert view._server.server_address[0] == "127.0.0.1"
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:  # a machine that does not know its own name
        addresses = set()
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, urlsplit(view.address).port), timeout=1):
            pass


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


def test_the_session_ends_while_somebody_looks():
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
        events=SimpleNamespace(register=registered.__setitem__, unregister=lambda name, _: registered.pop(name))
    )
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    view = viz.live(open_browser=False)
    listener = Listener(view)
    after_cell = registered["post_run_cell"]
    after_cell(SimpleNamespace(result=None))  # nothing was shown yet: nothing happens
    value = expression()
    after_cell(SimpleNamespace(result=value))
    assert "–" in listener.next()["svg"]
    value.backward()
    after_cell(SimpleNamespace(result=None))
    assert "–" not in listener.next()["svg"].split("</g>", 2)[2].replace("-->", "")
    view.close()
    after_cell(SimpleNamespace(result=value))
    assert registered == {}


@drawn
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_in_a_browser(view, tmp_path):
    browser = Browser(tmp_path)
    try:
        browser.open(view.address)
        browser.wait_for("$('state').textContent === 'live'")
        viz.show(expression())
        browser.wait_for("$('words').textContent === 'c = −6' && document.querySelector('#picture svg') !== null")
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
