"""``python -m lessons site``: the course as pages that need no server and no network.

``index.html`` is the map and the search; each lesson is a page with the output of its cells. A page such as a stepper
is inside the lesson and also in a separate file, to fill the screen.
"""

from __future__ import annotations

import base64
import html
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinygrad_edu.errors import brief
from tinygrad_edu.files import write_atomically
from viz.rendering.templates import fill, head, script_json

from . import errata, highlight, markdown, output, predict
from .cells import FOLDER, PYTORCH, Cell, Lesson, lesson_before, whats_new
from .runner import Shown

__all__ = [
    "PLAYGROUND",
    "Entry",
    "Written",
    "minutes",
    "page_name",
    "searchable",
    "write_contents",
    "write_errata",
    "write_guide",
    "write_lesson",
    "write_page",
]

Entry = dict[str, str]


@brief
@dataclass(frozen=True)
class Written:
    """A lesson whose page has been written.

    Attributes:
        lesson: which.
        entries: what can be searched in it: the address, the title, the words.
        preview: SVG of its first graph; empty if it has none, or a large one.
    """

    lesson: Lesson
    entries: list[Entry]
    preview: str


#: The page of the playground, in the same folder.
PLAYGROUND = "play.html"
_PLAY = re.compile(
    rf"(<p><strong>Play\.</strong>((?!</p>).)*?)<code[^>]*>({PLAYGROUND}#[^<]*)</code>(((?!</p>).)*</p>)", re.DOTALL
)
_WORDS, _LINES, _KEYS = 200, 20, 200  # words and lines of code that are read, and keys that are typed, in a minute
_MENTION = re.compile(r"\b(Lesson|Supplement)s? (\d+b?)\b")
_NO_MENTION = re.compile(r"(<(?:a|code|pre|h\d)\b.*?</(?:a|code|pre|h\d)>|<[^>]*>)", re.DOTALL)
_LARGEST_PREVIEW = 80_000  # characters; a larger graph shows nothing when it is small


def write_lesson(
    lesson: Lesson,
    shown: list[Shown | None],
    course: list[Lesson],
    folder: Path,
    live: str = "",
    *,
    solutions: bool = True,
) -> Written:
    """Write the page of a lesson, and the pages inside it.

    Args:
        lesson: which.
        shown: the output of each of its cells.
        course: all lessons, for the links to the previous and the next one.
        folder: where to.
        live: of :func:`lessons.live.page_data`, for a page whose cells run.
        solutions: whether to show the solutions of exercises, and the checks of them.
    """
    writer = _Writer(lesson, folder, [other for other in course if other is not lesson])
    left_out = set() if solutions else _solutions(lesson)
    cells = [writer.cell(i, shown[i]) for i in range(len(lesson.cells)) if i not in left_out]
    body = "\n".join(cells) + writer.unfold()
    diff = whats_new(lesson, lesson_before(lesson))
    headings = [*writer.headings, *[("new", "What is new")] * bool(diff)]
    if diff:
        body += f'\n<section class="prose" id="new"><h2>What is new</h2>{_diff(diff)}</section>'
    at = course.index(lesson)
    around = []
    for words, other in (("← {}", course[at - 1] if at else None), ("{} →", (*course, None)[at + 1])):
        if other is not None:
            around.append(f'<a href="{page_name(other)}">{html.escape(words.format(other.title))}</a>')
    if live:
        body += f'\n<script type="application/json" id="live">{live}</script>'
    page = _fill(
        "lesson.html",
        lesson.title,
        live=bool(live),
        CONTENTS=_contents(lesson, headings),
        BODY=body,
        AROUND=" ".join(around),
    )
    write_atomically(folder / page_name(lesson), page)
    drawn = (
        of_cell.bundle.get("image/svg+xml", "")
        for cell, of_cell in zip(lesson.cells, shown, strict=True)
        if of_cell is not None and "viz.draw(" in cell.source
    )
    preview = next((svg for svg in drawn if 0 < len(svg) <= _LARGEST_PREVIEW), "")
    return Written(lesson, writer.entries, preview)


def _contents(lesson: Lesson, headings: Sequence[tuple[str, str]]) -> str:
    """Return the list of the parts of a lesson, with the time that it takes."""
    look, type_all = minutes(lesson.cells)
    links = "".join(f'<li><a href="#{name}">{html.escape(title)}</a></li>' for name, title in headings)
    return (
        '<nav aria-label="parts of this page"><details class="contents">'
        '<summary>Contents<span id="here"></span></summary>'
        f"<p>about {look} minutes to read and predict, {type_all} to type all the code as well</p>"
        f"<ol>{links}</ol></details></nav>\n"
    )


def minutes(cells: Sequence[Cell]) -> tuple[int, int]:
    """Return how many minutes cells take to read and predict, and to type as well, in steps of five."""
    words = sum(len(cell.source.split()) for cell in cells if not cell.is_code and not cell.pytorch)
    code = [cell.shown for cell in cells if cell.is_code and not cell.tags & {"check", "solution"}]
    reading = words / _WORDS + sum(cell.asks for cell in cells)  # a prediction takes a minute
    lines, keys = sum(text.count("\n") + 1 for text in code), sum(len(re.sub(" +", " ", text)) for text in code)
    look, type_all = (5 * max(1, round(time / 5)) for time in (reading + lines / _LINES, reading + keys / _KEYS))
    return look, max(look, type_all)


def _solutions(lesson: Lesson) -> set[int]:
    """Return the numbers of the cells with solutions, and of the checks that follow them."""
    found: set[int] = set()
    for i, cell in enumerate(lesson.cells):
        if "solution" in cell.tags or ("check" in cell.tags and i - 1 in found):
            found.add(i)
    return found


def write_contents(
    course: list[Written], folder: Path, more: Sequence[Entry] = (), first: Sequence[Entry] = (), *, guide: bool = True
) -> Path:
    """Write ``index.html``, with a map of the lessons and everything that can be searched; returns where it is.

    ``first`` and ``more`` can be searched in addition to the lessons, before and after them; ``guide`` says whether the
    teacher's guide is in the folder.
    """
    stations = "".join(_station(page) for page in course if page.lesson.part == "lessons")
    entries = [*first, *(entry for page in course for entry in page.entries), *more]
    beside = ""
    for part, heading in {"supplements": "Supplements", "pictures": "Pictures from words"}.items():
        if rows := "".join(_station(page) for page in course if page.lesson.part == part):
            beside += f'<h2>{heading}</h2><ol class="map {part}">{rows}</ol>'
    # The path leads to the GPT if its last lesson is there.
    whole = any(page.lesson.name == "10b" for page in course)
    end = '<p class="end">a GPT that writes Shakespeare</p>' if whole else ""
    teacher = '<p><a href="guide.html">The teacher\'s guide</a></p>' if guide else ""
    parts = {
        "GUIDE": teacher,
        "END": end,
        "STATIONS": stations,
        "PARTS": beside,
        "ENTRIES": script_json(entries),
    }
    page = _fill("index.html", "From one number to a language model", live=False, **parts)
    path = folder / "index.html"
    write_atomically(path, page)
    return path


def write_guide(folder: Path, course: Sequence[Lesson] = ()) -> list[Entry]:
    """Write ``guide.html``, the teacher's guide of a course; returns what can be searched in it."""
    parts = re.split(r"^(?=## )", (FOLDER / "guide.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = [
        f'<section class="prose" id="part-{i}">{_linked(markdown.to_html(part), course)}</section>'
        for i, part in enumerate(parts)
    ]
    write_page(folder / "guide.html", "The teacher's guide", "\n".join(sections))
    return [
        {"at": f"guide.html#part-{i}", "title": "The teacher's guide", "text": markdown.plain(part)}
        for i, part in enumerate(parts)
    ]


def write_errata(folder: Path) -> list[Entry]:
    """Write ``errata.html``, the figures of :mod:`lessons.errata`; returns what can be searched in it."""
    wrong = [row for row in errata.ROWS if not row.is_right]
    right = [row for row in errata.ROWS if row.is_right]
    parts = [
        "<h1>Figures often quoted, and the correct ones</h1>",
        "<p>Tutorials copy numbers from each other. These were computed on Values; each row is tested, and shows "
        "its code. Find the mistake behind the quoted figure before you open it.</p>",
        *(_erratum(f"row-{i}", row) for i, row in enumerate(wrong, 1)),
        "<h2>Right as quoted</h2>",
        *(_erratum(f"row-{i}", row) for i, row in enumerate(right, len(wrong) + 1)),
    ]
    write_page(folder / "errata.html", "Errata", f'<div class="errata">{"".join(parts)}</div>')
    return [
        {"at": f"errata.html#row-{i}", "title": "Figures often quoted", "text": f"{row.about} {row.quoted} {row.true}"}
        for i, row in enumerate([*wrong, *right], 1)
    ]


def write_page(path: Path, title: str, body: str) -> None:
    """Write a page of the course that is not a lesson."""
    write_atomically(path, _fill("lesson.html", title, BODY=body, AROUND=""))


def searchable(lesson: Lesson) -> list[Entry]:
    """Return what can be searched in a lesson, without running it."""
    writer = _Writer(lesson, FOLDER)
    for i in range(len(lesson.cells)):
        writer.note(i)
    return writer.entries


def _erratum(name: str, row: errata.Row) -> str:
    code = f'<div class="code"><pre tabindex="0"><code>{highlight.to_html(row.source)}</code></pre></div>'
    figures = f"<dt>computed</dt><dd>{html.escape(row.true)}</dd>"
    if not row.is_right:
        figures = f"<dt>quoted</dt><dd>{html.escape(row.quoted)}</dd>{figures}"
    return (
        f'<section id="{name}"><h3>{markdown.inline(row.about)}</h3><dl>{figures}</dl>'
        f'<details class="check"><summary>the code</summary>{code}</details></section>'
    )


def _station(page: Written) -> str:
    lesson = page.lesson
    title = lesson.title.partition(": ")[2] or lesson.title
    preview = ""
    if page.preview:
        source = base64.b64encode(page.preview[page.preview.index("<svg") :].encode()).decode()
        preview = f'<img src="data:image/svg+xml;base64,{source}" alt="">'
    return (
        f'<li><a href="{page_name(lesson)}"><span class="number" aria-hidden="true">{lesson.name}</span>'
        f'<span class="words"><span class="title">{html.escape(title)}</span>'
        f'<span class="question">{markdown.inline(lesson.question)}</span></span>{preview}</a></li>'
    )


class _Writer:
    """Writes the cells of one lesson as HTML, collects what can be searched, and writes embedded pages to files."""

    def __init__(self, lesson: Lesson, folder: Path, others: Sequence[Lesson] = ()) -> None:
        self.lesson, self.folder, self.others = lesson, folder, others
        self.entries: list[Entry] = []
        self.headings: list[tuple[str, str]] = []  # the name in links, and the words
        self._heading = ""
        self._asked = self._folds = 0  # predictions so far, and those that hide what comes now

    def note(self, i: int) -> None:
        """Collect what can be searched in one cell."""
        cell = self.lesson.cells[i]
        if cell.is_code or cell.pytorch:
            self._note(_section(i), " ".join((cell.pytorch or cell.shown).split()))
            return
        for n, part in enumerate(_sections(cell.source), 1):
            if i and part.startswith("#"):
                self._heading = _heading(part)
            self._note(_section(i, n), markdown.plain(part))

    def cell(self, i: int, shown: Shown | None) -> str:
        """Write one cell with its output."""
        self.note(i)
        cell, name = self.lesson.cells[i], _section(i)
        if cell.pytorch:
            theirs = highlight.to_html(cell.pytorch)
            code = f'<div class="code theirs"><pre tabindex="0"><code>{theirs}</code></pre></div>'
            return _folded("pytorch", name, PYTORCH, code)
        if not cell.is_code:
            return "\n".join(self._prose(i, part, n) for n, part in enumerate(_sections(cell.source), 1))
        code = f'<div class="code"><pre tabindex="0"><code>{highlight.to_html(cell.shown)}</code></pre></div>'
        result = "" if shown is None else output.to_html(i, shown, self._frame)
        if "check" in cell.tags:
            return _folded("check", name, "checked by code", code)
        if "solution" in cell.tags:
            return _folded("solution", name, "Solution", code + result)
        question = ""
        if i and self.lesson.cells[i - 1].asks:
            question = self._ask(self.lesson.cells[i - 1], () if shown is None else shown.rights)
        return (
            f'{question}<section class="cell {"model" * ("model" in cell.tags)}" id="{name}">{code}{result}</section>'
        )

    def _prose(self, i: int, source: str, n: int) -> str:
        """Write one section of a cell of prose; a heading ends what waits for predictions."""
        name, ends = _section(i, n), ""
        if source.startswith("#"):
            ends = self.unfold()
            if source.startswith("## "):
                self.headings.append((name, markdown.plain(_heading(source))))
        words = _linked(markdown.to_html(source), self.others)
        if predict.MARK in source:
            before, mark, question = words.rpartition("<p><strong>Predict.</strong>")
            words = f'{before}<div class="predict">{mark}{question}</div>'
        return f'{ends}<section class="prose" id="{name}">{_with_playground(words)}</section>'

    def _ask(self, cell: Cell, rights: Sequence[predict.Right]) -> str:
        """Write the form for a prediction, and begin what stays folded until it is made."""
        self._asked += 1
        self._folds += 1
        name = f"predict-{self._asked}"
        fields = "".join(_field(right, f"{name}-{n}") for n, right in enumerate(rights, 1))
        key = f"{zlib.crc32(repr((cell.source, [right.question for right in rights])).encode()):08x}"
        first = '<button class="check">check</button> <button type="button" class="show">show me</button>'
        if not rights:
            first = '<button type="button" class="show">I have thought about it: show me</button>'
        return (
            f'<form class="guess" id="{name}" data-key="{key}" autocomplete="off" hidden>{fields}'
            f'<p>{first}</p><p class="verdict" role="status"></p></form>\n<div class="answer" id="{name}-answer">'
        )

    def unfold(self) -> str:
        """End everything that waits for predictions."""
        ends, self._folds = "</div>" * self._folds, 0
        return ends

    def _note(self, name: str, words: str) -> None:
        at = f"{page_name(self.lesson)}#{name}"
        title = self.lesson.title + (f": {markdown.plain(self._heading)}" if self._heading else "")
        self.entries.append({"at": at, "title": title, "text": words})

    def _frame(self, i: int, page: str) -> str:
        """Write a page also to a file of its own; returns what is shown below it."""
        own = f"{self.lesson.path.stem}-{i + 1:02}.html"
        write_atomically(self.folder / own, page)
        words = output.title(page)
        return f'<figcaption><a href="{own}">{words}, on a separate page</a></figcaption>'


def _sections(source: str) -> list[str]:
    """Split prose before each heading.

    >>> _sections("Seven.\\n\\n## Next\\nMore.")
    ['Seven.', '## Next\\nMore.']
    """
    return [part.strip("\n") for part in re.split(r"^(?=#+ )", source, flags=re.MULTILINE) if part.strip()]


def _heading(section: str) -> str:
    return section.split("\n")[0].lstrip("# ")


def _section(i: int, n: int = 1) -> str:
    """Return the name in links of a section of a cell."""
    return f"cell-{i + 1}" + (f"-{n}" if n > 1 else "")


def _field(right: predict.Right, name: str) -> str:
    """Write the part of a form that asks for one number or offers some options."""
    question = right.question
    judged = f'data-right="{right.value!r}" data-within="{right.within!r}" data-words="{html.escape(right.words)}"'
    label = html.escape(question.label or "your answer")
    if not question.options:
        judged += " data-percent" * question.in_percent
        box = f'<input id="{name}" {judged} inputmode="text" spellcheck="false" aria-describedby="{name}-mark">'
        return f'<p class="field"><label for="{name}">{label}</label> {box} <span id="{name}-mark"></span></p>'
    options = "".join(
        f'<label><input type="radio" name="{name}" value="{i}">{html.escape(words)}</label>'
        for i, words in enumerate(question.options)
    )
    legend = f'<legend>{label} <span id="{name}-mark"></span></legend>'
    return f'<fieldset class="field" {judged}>{legend}{options}</fieldset>'


def _linked(words: str, course: Sequence[Lesson]) -> str:
    """HTML in which mentions such as Lesson 9 lead there, outside of headings, links and code."""
    pages = {lesson.name: page_name(lesson) for lesson in course}

    def link(found: re.Match[str]) -> str:
        page = pages.get("s" * (found[1] == "Supplement") + found[2])
        return f'<a href="{page}">{found[0]}</a>' if page else found[0]

    parts = _NO_MENTION.split(words)
    parts[::2] = [_MENTION.sub(link, part) for part in parts[::2]]
    return "".join(parts)


def _with_playground(words: str) -> str:
    """HTML with the playground below each paragraph that begins with **Play.** and names an address in it."""
    return _PLAY.sub(
        lambda found: (
            f'<div class="play">{found[1]}<a href="{found[3]}">{PLAYGROUND}</a>{found[4]}</div>'
            f'<figure class="page"><iframe src="{found[3]}&amp;embed=1" title="the playground" loading="lazy"></iframe>'
            f'<figcaption><a href="{found[3]}">the playground, on a separate page</a></figcaption></figure>'
        ),
        words,
    )


def _folded(kind: str, name: str, summary: str, content: str) -> str:
    return f'<details class="{kind}" id="{name}"><summary>{summary}</summary>{content}</details>'


def _diff(diff: str) -> str:
    rows = []
    for line in diff.split("\n"):
        tag = "ins" if line.startswith("+") else "del" if line.startswith("-") else "span"
        rows.append(f"<{tag}>{html.escape(line)}</{tag}>")
    return f'<pre class="diff" tabindex="0">{chr(10).join(rows)}</pre>'


def page_name(lesson: Lesson) -> str:
    """Return the file of a lesson's page."""
    return f"{lesson.path.stem}.html"


def _fill(template: str, title: str, *, live: bool = False, **parts: str) -> str:
    def read(*names: str) -> str:
        return "".join((FOLDER / "pages" / name).read_text(encoding="utf-8") for name in names)

    frames = "; frame-src 'self'" if template == "lesson.html" else ""
    top = head(title, read("site.css", "contents.css", *["live.css"] * live), frames + "; worker-src 'self'" * live)
    return fill(
        read(template),
        {
            **parts,
            "HEAD": top,
            "SCRIPT": read("site.js", "contents.js", *["live.js"] * live),
            "PREDICT": read("predict.js"),
        },
    )
