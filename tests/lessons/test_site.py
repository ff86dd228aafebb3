"""The pages of the course: complete, offline, and working in a browser, on a phone and on a projector."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from lessons import highlight, markdown, site
from lessons.cells import Lesson, load, load_all, parse
from lessons.cli import main
from lessons.runner import run_all
from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from viz.rendering.templates import script_json

IN_A_ROW = [lesson for lesson in load_all() if lesson.part == "lessons"]
PAGES = [f"{lesson.path.stem}.html" for lesson in IN_A_ROW]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    assert main(["site", str(folder), "--fast", "--only", *(lesson.name for lesson in IN_A_ROW)]) == 0
    return folder


def test_the_overview_leads_through_all_lessons(course: Path) -> None:
    contents = (course / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<li><a href="(\d\db?_[^"]+)"', contents) == PAGES
    assert len(PAGES) == 14
    assert contents.index("one number</p>") < contents.index(PAGES[0])
    assert contents.index("a GPT that writes Shakespeare") > contents.index(f'<li><a href="{PAGES[-1]}"')
    for name, following in pairwise(PAGES):
        assert f'href="{following}">Lesson ' in (course / name).read_text(encoding="utf-8")


def test_every_lesson_has_a_page_linked_from_the_contents(course: Path) -> None:
    contents = (course / "index.html").read_text(encoding="utf-8")
    for name in PAGES:
        assert f'href="{name}"' in contents
        page = (course / name).read_text(encoding="utf-8")
        assert "<h1>Lesson " in page
    middle = (course / "02_line.html").read_text(encoding="utf-8")
    assert 'href="01b_value.html">← Lesson 1b' in middle
    assert 'href="03_neuron.html">Lesson 3: The neuron →' in middle
    assert "<ins>+class Line(Module):</ins>" in middle


def test_the_map_shows_the_graph_of_each_stage(course: Path) -> None:
    contents = (course / "index.html").read_text(encoding="utf-8")
    assert contents.count('<img src="data:image/svg+xml;base64,') == 14


@pytest.mark.parametrize("lesson", IN_A_ROW, ids=lambda lesson: lesson.path.stem)
def test_the_snippets_of_a_page_are_the_code_of_its_lesson(course: Path, lesson: Lesson) -> None:
    assert snippets(course / f"{lesson.path.stem}.html") == [cell.shown for cell in lesson.cells if cell.is_code]


def snippets(page: Path) -> list[str]:
    """Return the code of a page, as it is copied."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r'<div class="code"><pre tabindex="0"><code>(.*?)</code>', text, re.DOTALL)
    return [html.unescape(re.sub(r"</?(?:b|i|span)>", "", block)) for block in blocks]


@pytest.mark.parametrize("name", ["01b_value.html", "05_classifier.html", "06_bigram.html"])
def test_snippets_work_when_pasted_from_the_pages(course: Path, tmp_path: Path, name: str) -> None:
    pasted = ["FAST = True", *snippets(course / name), "print('REACHED THE END')"]
    prompt = subprocess.run(
        [sys.executable, "-i", "-q"],
        input="".join(f"{snippet}\n\n" for snippet in pasted),
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(site.FOLDER.parent),
            "PYTHONIOENCODING": "utf-8",
            "OPENBLAS_NUM_THREADS": "1",
        },
    )
    assert "Error" not in prompt.stderr, prompt.stderr
    assert "REACHED THE END" in prompt.stdout


def test_pictures_are_inline_with_unique_names(course: Path) -> None:
    page = (course / "01_expression.html").read_text(encoding="utf-8")
    assert page.count('<svg role="img"') == 4
    names = re.findall(r'\bid="([^"]+)"', page.partition("<iframe srcdoc")[0])
    assert len(names) == len(set(names))
    used = set(re.findall(r"url\(#([^)]+)\)", page.partition("<iframe srcdoc")[0]))
    assert used <= set(names)


def test_answers_and_solutions_are_folded(course: Path) -> None:
    page = (course / "01_expression.html").read_text(encoding="utf-8")
    assert page.count('<details class="solution"') == 3
    [folded] = re.findall(r'<div class="answer" id="predict-1-answer">.*?(?=<section[^>]*><h2>)', page, re.DOTALL)
    assert "dL/da = 6" in folded
    assert "is the slope that nudging gave us" in folded  # the paragraph that gives the answer away
    assert page.count("dL/da = 6") == 1


def test_only_the_question_itself_is_marked_as_a_question(course: Path) -> None:
    page = (course / "01_expression.html").read_text(encoding="utf-8")
    marked = re.findall(r'<div class="predict">(.*?)</div>', page, re.DOTALL)
    assert len(marked) == 4
    assert all(part.startswith("<p><strong>Predict.</strong>") for part in marked)


def test_the_guide_is_a_page_too(course: Path) -> None:
    assert 'href="guide.html"' in (course / "index.html").read_text(encoding="utf-8")
    guide = (course / "guide.html").read_text(encoding="utf-8")
    for lesson in IN_A_ROW:
        assert f"<h2>{lesson.title}</h2>" in guide


def test_pages_load_nothing_from_elsewhere(course: Path) -> None:
    for path in course.glob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []


def test_every_lesson_has_a_screen_of_the_playground(course: Path) -> None:
    assert (course / "play.html").is_file()
    for name in PAGES:
        page = (course / name).read_text(encoding="utf-8")
        inside, links = (re.findall(rf'{what}="play.html#screen=(\w+)', page) for what in ("src", "href"))
        assert re.search(r'src="play.html#[^"]*&amp;embed=1"', page)
        assert len(inside) == 1
        assert {*inside} == {*links}
        assert inside[0] in ("point", "line", "network", "names", "read", "train", "flow")


def test_a_cell_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    text = "# %% [markdown]\n# # Lesson 1: A\n# **Question.** Why?\n\n# %%\nx = 1\ny = x / 0\n"
    with pytest.raises(Exception, match=r"01_a.py, line 7: ZeroDivisionError: division by zero"):
        run_all(parse(text, tmp_path / "01_a.py"))


def test_without_a_layout_program_graphs_are_drawn_and_the_numbers_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viz.rendering.graphviz_program._installed", lambda: iter(()))
    lesson = load("2")
    shown = [one for one in run_all(lesson, fast=True) if one is not None]
    assert any("<svg" in one.bundle.get("image/svg+xml", "") for one in shown)
    assert not any("not drawn: " in one.bundle.get("text/plain", "") for one in shown)
    assert any("dL/dw = -43.76" in one.text for one in shown)


def test_a_page_shows_text_as_text() -> None:
    assert markdown.inline("`<b>` & <i> **a < b** [x](y.html)") == (
        '<code class="short">&lt;b&gt;</code> &amp; &lt;i&gt; <strong>a &lt; b</strong> <a href="y.html">x</a>'
    )
    assert markdown.inline("2 * 3 * 4, `a * b`, *yes*") == '2 * 3 * 4, <code class="short">a * b</code>, <em>yes</em>'
    assert "<th>a</th>" in markdown.to_html("| a | b |\n|---|---|\n| 1 | 2 |")
    assert markdown.to_html("1. one\n   more\n2. two") == "<ol>\n<li>one\nmore</li>\n<li>two</li>\n</ol>"
    assert markdown.to_html("```\na < b\n```") == '<pre class="formula" tabindex="0">a &lt; b</pre>'
    assert markdown.to_html("> so\n> it is") == "<blockquote>\n<p>so\nit is</p>\n</blockquote>"
    assert highlight.to_html('if x < "a<b":  # <c>') == '<b>if</b> x &lt; <span>"a&lt;b"</span>:  <i># &lt;c&gt;</i>'


def entries(course: Path) -> list[dict[str, str]]:
    """Return what the search of the overview looks through."""
    contents = (course / "index.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="entries">(.*?)</script>', contents, re.DOTALL)[1])


def test_search_results_lead_to_existing_places(course: Path) -> None:
    assert {entry["at"].partition("#")[0] for entry in entries(course)} == {*PAGES, "errata.html", "guide.html"}
    for entry in entries(course):
        page, _, name = entry["at"].partition("#")
        assert not name or f'id="{name}"' in (course / page).read_text(encoding="utf-8")


def size(browser: Browser, width: int, height: int) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
    )


@pytest.mark.parametrize(
    "name", ["index.html", "guide.html", "errata.html", "glossary.html", "topics.html", "by_hand.html", *PAGES]
)
def test_it_opens_without_errors_requests_or_sideways_scrolling(browser: Browser, course: Path, name: str) -> None:
    size(browser, 1920, 1080)
    browser.open((course / name).as_uri())
    for width, height in ((1920, 1080), (375, 700)):
        size(browser, width, height)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.console == []
    assert [
        address for address in browser.requests if not address.startswith(("file:", "data:", "about:", "blob:"))
    ] == []


def test_the_stepper_runs_in_the_lesson_and_follows_its_theme(browser: Browser, course: Path) -> None:
    size(browser, 1280, 800)
    browser.open((course / "01_expression.html").as_uri())
    browser.evaluate("document.querySelector('iframe[srcdoc]').scrollIntoView()")
    inside = "document.querySelector('iframe[srcdoc]').contentDocument"
    browser.wait_for(f"{inside}?.querySelector('#where')?.textContent.includes('0')")
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate(f"{inside}.documentElement.dataset.theme") == "dark"
    stepper = next(course.glob("01_expression-*.html")).name
    for name in ("02_line.html", "by_hand.html", "play.html", stepper):  # every other page remembers
        browser.open((course / name).as_uri())
        browser.wait_for("getComputedStyle(document.documentElement).colorScheme === 'dark'")
    assert browser.console == []


#: The texts of a page's pictures that are smaller than ``least`` pixels, as the screen shows them.
TOO_SMALL = """(least => {
    document.documentElement.classList.add("all");
    for (const part of document.querySelectorAll("details")) part.open = true;
    const height = text => {
        const { a, b, c, d } = text.getScreenCTM();
        return parseFloat(getComputedStyle(text).fontSize) * Math.sqrt(Math.abs(a * d - b * c));
    };
    const texts = [...document.querySelectorAll("svg text")].filter(text => text.checkVisibility() && text.textContent);
    if (!texts.length) return ["no text was found"];
    const small = texts.filter(text => height(text) < least - 0.1);
    return small.map(text => `${text.textContent}: ${height(text).toFixed(1)}`);
})"""


@pytest.mark.parametrize(("width", "height", "least"), [(1280, 720, 14), (375, 700, 11)])
def test_every_text_in_a_picture_can_be_read(
    browser: Browser, course: Path, width: int, height: int, least: int
) -> None:
    size(browser, width, height)
    for name in (*PAGES, next(course.glob("01_expression-*.html")).name):
        browser.open((course / name).as_uri())
        assert browser.evaluate(f"{TOO_SMALL}({least})") == [], name


def test_a_picture_that_is_wider_than_the_page_says_so_and_can_be_made_to_fit(browser: Browser, course: Path) -> None:
    size(browser, 375, 700)
    browser.open((course / "01_expression.html").as_uri())
    browser.evaluate("document.getElementById('all').click()")
    hint, figure = "document.querySelector('.wider')", "document.querySelector('figure:has(> svg)')"
    browser.wait_for(f"!{hint}.hidden && {figure}.scrollWidth > {figure}.clientWidth")
    browser.evaluate(f"{hint}.firstChild.click()")
    browser.wait_for(f"{figure}.scrollWidth <= {figure}.clientWidth && !{hint}.hidden")
    size(browser, 1280, 720)
    browser.evaluate(f"{hint}.firstChild.click()")
    browser.wait_for(f"{hint}.hidden")


def test_show_all_opens_this_page_alone(browser: Browser, course: Path) -> None:
    shown = "getComputedStyle(document.querySelector('.answer')).display"
    browser.open((course / "01_expression.html").as_uri())
    assert browser.evaluate(shown) == "none"
    browser.evaluate("document.getElementById('all').click()")
    assert browser.evaluate(shown) == "block"
    browser.open((course / "02_line.html").as_uri())
    assert browser.evaluate(shown) == "none"
    browser.open((course / "01_expression.html").as_uri())  # which remembers
    assert browser.evaluate(shown) == "block"


def test_mentions_of_lessons_are_links(course: Path) -> None:
    for name in (*PAGES, "guide.html"):
        page = (course / name).read_text(encoding="utf-8")
        for page_of, number in re.findall(r'<a href="([^"]+)">Lessons? (\d+b?)</a>', page):
            assert page_of.startswith(f"{number.rjust(2 + number.endswith('b'), '0')}_")
    guide = (course / "guide.html").read_text(encoding="utf-8")
    assert '<a href="03_neuron.html">Lesson 3</a>' in guide
    assert "<h2>Lesson 3: " in guide  # a heading stays as it is
    words = "<p>Lesson 3, <code>Lesson 3</code>, <a>Lesson 3</a></p>"
    linked = site._linked(words, [load("3")])
    assert linked == '<p><a href="03_neuron.html">Lesson 3</a>, <code>Lesson 3</code>, <a>Lesson 3</a></p>'
    assert site._linked(words, []) == words


def test_a_lesson_shows_what_the_search_finds_while_one_types(browser: Browser, course: Path) -> None:
    size(browser, 1280, 720)
    browser.open((course / "01_expression.html").as_uri())
    browser.key("/", "/")
    browser.type("sigm")
    browser.wait_for("!document.getElementById('found').hidden")
    assert browser.evaluate("document.getElementById('found').src") == (course / "index.html").as_uri() + "?found"
    browser.key("Escape")
    assert browser.evaluate("document.getElementById('found').hidden") is True
    browser.open((course / "index.html").as_uri() + "?found")  # what is in the frame
    assert browser.evaluate("getComputedStyle(document.querySelector('header')).display") == "none"
    browser.evaluate("postMessage({ search: 'sigm' }, '*')")  # the parent of a page that is in no frame is the page
    browser.wait_for("document.querySelectorAll('#results a').length > 3")
    assert browser.evaluate("document.querySelector('#results a').target") == "_top"


def test_excerpts_begin_and_end_with_whole_words(browser: Browser, course: Path) -> None:
    browser.open((course / "index.html").as_uri() + "?q=gradient")
    shown = browser.evaluate("[...document.querySelectorAll('#results small')].map(line => line.textContent)")
    assert sum(line.startswith("… ") for line in shown) > 5
    words = {word for entry in entries(course) for word in entry["text"].split()}
    for line in shown:
        assert set(line.removeprefix("… ").removesuffix(" …").split()) <= words


@pytest.mark.axe
@pytest.mark.parametrize("name", ["index.html", "guide.html", "08_attention.html", "10_gpt.html", "10b_writing.html"])
def test_pages_work_with_screen_readers_and_keyboards(browser: Browser, course: Path, name: str) -> None:
    browser.open((course / name).as_uri())
    browser.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    check_accessible(browser)


def test_the_stepper_fits_a_phone(browser: Browser, course: Path) -> None:
    size(browser, 375, 700)
    browser.open(next(course.glob("01_expression-*.html")).as_uri())
    browser.wait_for("document.querySelector('#where').textContent.includes('0')")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 375


def test_searching(browser: Browser, course: Path) -> None:
    browser.open((course / "index.html").as_uri() + "?q=saturated+sigmoid")
    assert browser.evaluate("document.getElementById('q').value") == "saturated sigmoid"
    assert "03_neuron.html#" in browser.evaluate("document.querySelector('#results a').href")
    assert browser.evaluate("document.querySelector('#results mark').textContent.toLowerCase()") in (
        "saturated",
        "sigmoid",
    )
    browser.evaluate("{const q = document.getElementById('q'); q.value = '<img src=x>(['; q.oninput()}")
    assert browser.evaluate("document.getElementById('results').textContent") == "0 places"
    browser.evaluate("{const q = document.getElementById('q'); q.value = ''; q.oninput()}")
    assert browser.evaluate("document.getElementById('way').hidden") is False
    assert browser.console == []


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("query key value drawer", "08_attention.html"),
        ("residual stream bypass", "09_block.html"),
        ("temperature top-p", "10b_writing.html"),
        ("KV cache", "10b_writing.html"),
        ("browser projector terminal", "guide.html"),
        ("The", "10_gpt.html"),
    ],
)
def test_the_words_of_every_page_are_found(browser: Browser, course: Path, words: str, page: str) -> None:
    browser.open((course / "index.html").as_uri())
    browser.evaluate(f"{{const q = document.getElementById('q'); q.value = {words!r}; q.oninput()}}")
    found = [
        entry["at"]
        for entry in entries(course)
        if all(word.lower() in f"{entry['title']} {entry['text']}".lower() for word in words.split())
    ]
    assert page in {at.partition("#")[0] for at in found}
    assert (len(found) > 60) == (words == "The")
    shown = browser.evaluate("[...document.querySelectorAll('#results a')].map(a => a.getAttribute('href'))")
    assert shown == found[:60]
    count = "1 place" if len(found) == 1 else f"{len(found)} places{', the first 60:' * (len(found) > 60)}"
    assert browser.evaluate("document.querySelector('#results p').textContent") == count


def test_searching_with_the_keyboard_alone(browser: Browser, course: Path) -> None:
    browser.open((course / PAGES[0]).as_uri())
    browser.key("/", "/")
    assert browser.evaluate("[document.activeElement.name, document.activeElement.value]") == ["q", ""]
    browser.type("sigmoid")
    browser.key("/", "/")  # inside the box it is a character
    browser.type("wide")
    browser.key("Enter", "\r")
    browser.wait_for("location.pathname.endsWith('/index.html') && document.readyState === 'complete'")
    assert browser.evaluate("document.getElementById('q').value") == "sigmoid/wide"
    assert browser.evaluate("document.getElementById('results').textContent") == "0 places"
    browser.key("/", "/")
    browser.evaluate("document.activeElement.select()")
    browser.type("saturated sigmoid")
    first = browser.evaluate("document.querySelector('#results a').href")
    for _ in range(2):  # past the button for the colors
        browser.key("Tab")
    assert browser.evaluate("document.activeElement.href") == first
    browser.key("Enter", "\r")
    browser.wait_for(f"location.href === {first!r} && document.readyState === 'complete'")
    assert re.search(r"/03_neuron\.html#.", first)
    assert browser.console == []


def test_tab_reaches_everything_in_the_order_of_the_page(browser: Browser, course: Path) -> None:
    browser.open((course / "02_line.html").as_uri())
    browser.evaluate("document.getElementById('all').click()")  # what follows the predictions, too
    browser.evaluate("setTimeout(() => { window.settled = true; }, 500); 0")  # wide figures get a button
    browser.wait_for("window.settled")
    names = browser.evaluate("""(() => {
        const some = 'a[href], button, input, summary, [tabindex="0"]', seen = new Set();
        const isLater = part => part.type === 'radio' && (seen.has(part.name) || !seen.add(part.name));
        const all = [...document.querySelectorAll(some)].filter(part => part.checkVisibility() && !isLater(part));
        return all.map((part, i) => part.dataset.name = `${i} ${part.tagName}`);
    })()""")
    kinds = {name.split()[1] for name in names}
    assert kinds >= {"A", "BUTTON", "INPUT", "SUMMARY", "PRE", "FIGURE"}
    reached = []
    for _ in names:
        browser.key("Tab")
        for _ in range(100):  # through the playground, a page of its own, and out of it again
            if browser.evaluate("document.activeElement.tagName") != "IFRAME":
                break
            browser.key("Tab")
        reached.append(browser.evaluate("document.activeElement.dataset.name"))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", reached[-1]
    assert reached == names
    browser.evaluate("document.querySelector('details.solution summary').focus()")
    browser.key("Enter", "\r")
    assert browser.evaluate("document.querySelector('details.solution').open") is True
    browser.evaluate("localStorage.clear()")


def test_the_explorer_runs_in_the_lesson_and_follows_its_theme(browser: Browser, course: Path) -> None:
    size(browser, 1280, 800)
    browser.open((course / "10_gpt.html").as_uri())
    browser.evaluate("document.querySelector('iframe[srcdoc]').scrollIntoView()")
    inside = "document.querySelector('iframe[srcdoc]').contentDocument"
    boxes = f"{inside}?.querySelectorAll('.box').length"
    browser.wait_for(f"{boxes} > 1")
    assert "TinyLM" in browser.evaluate(f"{inside}.body.textContent")
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate(f"{inside}.documentElement.dataset.theme") == "dark"
    browser.evaluate("localStorage.clear()")
    assert browser.console == []


def test_a_link_into_a_folded_part_opens_it(browser: Browser, course: Path) -> None:
    page = (course / "01_expression.html").read_text(encoding="utf-8")
    name = re.search(r'<details class="solution" id="([^"]+)"', page)[1]
    browser.open((course / "01_expression.html").as_uri() + f"#{name}")
    assert browser.evaluate(f"document.getElementById('{name}').open") is True


def test_copying_gives_the_code(browser: Browser, course: Path) -> None:
    browser.open((course / "01_expression.html").as_uri())
    browser.evaluate("navigator.clipboard.writeText = async text => { window.copied = text; }")
    browser.evaluate("document.querySelectorAll('.code button')[1].click()")
    assert browser.evaluate("window.copied") == "def expression(a, b, c, f):\n    return (a * b + c) * f\n"


def test_pages_use_only_colors_of_the_style() -> None:
    css = (Path(site.FOLDER) / "pages" / "site.css").read_text(encoding="utf-8")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s}])", css) == []


def test_the_archive_for_the_class_has_no_guide_and_no_solutions(tmp_path: Path) -> None:
    assert main(["archive", str(tmp_path / "course.zip"), "--fast", "--only", "1", "2"]) == 0
    pages = {}
    for name in ("course", "course-teacher"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            pages[name] = {path: archive.read(path).decode() for path in archive.namelist()}
        assert {path.split("/")[0] for path in pages[name]} == {name}
    for_all, for_teacher = ("\n".join(pages[name].values()) for name in pages)
    solutions = [cell for cell in load("1").cells if "solution" in cell.tags]
    assert solutions
    for cell in solutions:
        assert highlight.to_html(cell.shown) in for_teacher
        assert highlight.to_html(cell.shown) not in for_all
        first = script_json(" ".join(cell.shown.split())[:40])[1:-1]  # what is searched
        assert first in for_teacher
        assert first not in for_all
    assert 'class="solution"' in for_teacher
    assert 'class="solution"' not in for_all
    assert "course-teacher/guide.html" in pages["course-teacher"]
    assert "guide.html" not in for_all
    assert {"course/index.html", "course/01_expression.html", "course/play.html"} <= {*pages["course"]}
    assert main(["archive", str(tmp_path / "course.tar")]) == 2


def test_the_contents_say_where_the_reader_is(browser: Browser, course: Path) -> None:
    size(browser, 1280, 720)
    browser.open((course / "03_neuron.html").as_uri())
    current = "document.querySelector('.contents a[aria-current]')?.textContent"
    assert browser.evaluate("document.querySelector('.contents').open") is True
    assert browser.evaluate(f"{current} ?? ''") == ""
    headings = browser.evaluate("[...document.querySelectorAll('main h2')].map(heading => heading.textContent)")
    assert browser.evaluate("[...document.querySelectorAll('.contents a')].map(a => a.textContent)") == headings
    assert re.search(r"about \d+ minutes", browser.evaluate("document.querySelector('.contents p').textContent"))
    for heading in (2, 0):
        browser.evaluate(f"document.querySelectorAll('main h2')[{heading}].scrollIntoView()")
        browser.wait_for(f"{current} === {headings[heading]!r}")
    browser.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    browser.wait_for(f"{current} === {headings[-1]!r} && document.getElementById('progress').offsetWidth > 1200")
    assert browser.evaluate("document.querySelector('.contents').getBoundingClientRect().top > 0")  # it stays
    size(browser, 375, 700)
    browser.wait_for("!document.querySelector('.contents').open")  # folded on a phone
    browser.evaluate("document.querySelector('.contents summary').click()")
    browser.evaluate("document.querySelectorAll('.contents a')[1].click()")
    browser.wait_for(f"{current} === {headings[1]!r} && !document.querySelector('.contents').open")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 375
    assert browser.console == []
