"""Find things in the course: the glossary, the map of topics, and ``python -m lessons find``.

Both are data: ``lessons/data/glossary.txt`` and ``lessons/data/topics.txt``.
"""

from __future__ import annotations

import argparse
import html
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinygrad_edu.errors import brief

from . import script, site
from .cells import FOLDER, Lesson, load_all
from .site import Entry

__all__ = [
    "MOST_PLACES",
    "Term",
    "add_find",
    "course_entries",
    "glossary",
    "glossary_entries",
    "search",
    "topics",
    "write_glossary",
    "write_topics",
]

MOST_PLACES = 12  # that the terminal shows


@brief
@dataclass(frozen=True)
class Term:
    """A word of the field.

    Attributes:
        name: the word.
        lesson: the name of the lesson that introduces it.
        synonyms: other words for it, and words that lead to it.
        sentence: what it means.
    """

    name: str
    lesson: str
    synonyms: tuple[str, ...]
    sentence: str

    @property
    def anchor(self) -> str:
        """Its name in links."""
        return "term-" + re.sub(r"\W+", "-", self.name.lower()).strip("-")

    def occurs_in(self, text: str) -> bool:
        """Whether the term or a synonym stands in a text."""
        return any(re.search(rf"(?<!\w){re.escape(word)}", text, re.IGNORECASE) for word in (self.name, *self.synonyms))


@cache
def glossary() -> tuple[Term, ...]:
    """Return all terms, by name."""
    rows = [[part.strip() for part in line.split(" | ")] for line in _lines("glossary.txt")]
    terms = (Term(name, at, tuple(re.split(r",\s+", also)), sentence) for name, at, also, sentence in rows)
    return tuple(sorted(terms, key=lambda term: term.name.lower()))


@cache
def topics() -> tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...]:
    """Return the groups of topics: the heading, and for each topic the names of its lessons."""
    groups: list[tuple[str, list[tuple[str, tuple[str, ...]]]]] = []
    for line in _lines("topics.txt"):
        if line.startswith("= "):
            groups.append((line[2:], []))
        else:
            topic, _, lessons = line.rpartition(" | ")
            groups[-1][1].append((topic, tuple(lessons.split(", "))))
    return tuple((heading, tuple(rows)) for heading, rows in groups)


def _lines(name: str) -> Iterator[str]:
    for line in (FOLDER / "data" / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def glossary_entries(lessons: Sequence[Lesson], entries: Sequence[Entry]) -> list[Entry]:
    """Return an entry for each term of these lessons, which leads to where it is introduced.

    ``entries`` are those of the lessons, in order.
    """
    titles = {lesson.name: lesson for lesson in lessons}
    found = []
    for term in glossary():
        if term.lesson in titles:
            lesson = titles[term.lesson]
            page = site.page_name(lesson)
            inside = [entry for entry in entries if entry["at"].startswith(f"{page}#")]
            at = next((entry["at"] for entry in inside if term.occurs_in(entry["text"])), page)
            words = f"{term.sentence} ({', '.join(term.synonyms)})"
            found.append({"at": at, "title": f"{term.name}: {lesson.title}", "text": words})
    return found


@cache
def course_entries() -> tuple[Entry, ...]:
    """Return everything that can be searched in the course, without running it: the glossary, then the lessons."""
    lessons = load_all()
    entries = [entry for lesson in lessons for entry in site.searchable(lesson)]
    return (*glossary_entries(lessons, entries), *entries)


def search(words: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries that contain every word, as the search box of the pages does."""
    wanted = words.lower().split()
    return [e for e in entries if wanted and all(word in f"{e['title']} {e['text']}".lower() for word in wanted)]


# --- pages ------------------------------------------------------------------------------------------------------------


def write_glossary(lessons: Sequence[Lesson], entries: Sequence[Entry], folder: Path) -> list[Entry]:
    """Write ``glossary.html``; returns an entry for each term, which leads into its lesson."""
    found = glossary_entries(lessons, entries)
    at = {entry["title"].partition(": ")[0]: entry["at"] for entry in found}
    titles = {lesson.name: lesson.title for lesson in lessons}
    rows = []
    for term in glossary():
        where = html.escape(titles.get(term.lesson, f"Lesson {term.lesson}"))
        link = f'<a href="{at[term.name]}">{where}</a>' if term.name in at else where
        also = html.escape(", ".join(term.synonyms))
        rows.append(
            f'<dt id="{term.anchor}">{html.escape(term.name)}</dt><dd>{html.escape(term.sentence)} {link}'
            f"<small>also: {also}</small></dd>"
        )
    about = "Each term in one sentence, and where the course introduces it. The search box knows them, too."
    body = f'<section class="prose"><h1>Glossary</h1><p>{about}</p><dl class="glossary">{"".join(rows)}</dl></section>'
    site.write_page(folder / "glossary.html", "Glossary", body)
    return found


def write_topics(lessons: Sequence[Lesson], folder: Path) -> None:
    """Write ``topics.html``: which lessons are about which topic."""
    by_name = {lesson.name: lesson for lesson in lessons}

    def link(name: str) -> str:
        if name not in by_name:
            return name
        lesson = by_name[name]
        title = html.escape(lesson.title.partition(": ")[2] or lesson.title)
        return f'<a href="{site.page_name(lesson)}">{name}: {title}</a>'

    parts = []
    for heading, rows in topics():
        lines = "".join(
            f'<tr><th scope="row">{html.escape(topic)}</th><td>{"<br>".join(map(link, names))}</td></tr>'
            for topic, names in rows
        )
        parts.append(f'<h2>{html.escape(heading)}</h2><div class="table" tabindex="0"><table>{lines}</table></div>')
    about = "You know what you want to learn? Here is where it is: lessons in the order to read them."
    body = f'<section class="prose topics"><h1>From topics to lessons</h1><p>{about}</p>{"".join(parts)}</section>'
    site.write_page(folder / "topics.html", "From topics to lessons", body)


# --- terminal ---------------------------------------------------------------------------------------------------------


def add_find(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lessons find``."""
    command.set_defaults(run=_find)
    command.description = "Say what a word means, and where the course is about it."
    command.epilog = "example: %(prog)s skip connection"
    command.add_argument("words", nargs="+", metavar="WORD", help="all of them must occur")


def _find(options: argparse.Namespace) -> None:
    words = " ".join(options.words)
    program = options.parser.prog.removesuffix(" find")
    found = search(words, course_entries())
    lessons = {site.page_name(lesson): lesson for lesson in load_all()}
    names = {term.name: term for term in glossary()}
    print("1 place" if len(found) == 1 else f"{len(found)} places")
    for entry in found[:MOST_PLACES]:
        title = entry["title"]
        term = names.get(title.partition(": ")[0])
        text = term.sentence if term else _excerpt(entry["text"], words.lower().split()[0])
        lesson = lessons[entry["at"].partition("#")[0]]
        command = f"({program} {lesson.name})"
        room = len(title) + 3 + len(command) <= script.WIDTH
        print(f"\n{textwrap.fill(title, script.WIDTH)}{'   ' if room else chr(10) + '    '}{command}")
        print(textwrap.indent(textwrap.fill(text, script.WIDTH - 4), "    "))
    if len(found) > MOST_PLACES:
        print(f"\nand {len(found) - MOST_PLACES} more; give another word to narrow it down")
    if not found:
        print(
            textwrap.fill(f"nothing is about {words!r}; try another form of the word, or {program} list", script.WIDTH)
        )


def _excerpt(text: str, word: str) -> str:
    at = max(0, text.lower().find(word) - 60)
    return f"{'… ' * bool(at)}{text[at : at + 180]}{' …' * (len(text) > at + 180)}"
