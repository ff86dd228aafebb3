"""Everything that can be looked at, in one folder for any host or for none: ``python3 run.py site``.

The landing page is made of README.md, the other pages of docs/*.md, and the gallery of their pictures. The playground,
the course and the API reference are made as their own commands make them. No page asks for a network.
"""

from __future__ import annotations

import argparse
import base64
import html
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))

import gpt.cli  # noqa: E402
import lessons.cli  # noqa: E402
import run  # noqa: E402
from lessons import markdown  # noqa: E402
from tinygrad_edu import console  # noqa: E402
from viz.play.page import play_page  # noqa: E402
from viz.rendering.templates import asset, fill, head  # noqa: E402

#: The pages, by the file that each is made of.
PAGES = {
    "README.md": "index.html",
    **{f"docs/{path.name}": f"{path.stem}.html" for path in sorted(DOCS.glob("*.md"))},
    **{name: f"{name.partition('.')[0].lower()}.html" for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")},
}
#: Where its links to other files lead: those that the course makes.
ELSEWHERE = {"lessons/guide.md": "course/guide.html"}
KINDS = {".svg": "image/svg+xml", ".png": "image/png"}
RUN = ROOT / "runs" / "shakespeare-small"  # is shown if it is there


def main(words: list[str] | None = None) -> int:
    """Write the site; returns the exit code."""
    parser = argparse.ArgumentParser(prog="run.py site", description="Write the whole site into one folder.")
    parser.add_argument("folder", nargs="?", default="site", type=Path, help="the folder (default: site)")
    parser.add_argument(
        "--fast", action="store_true", help="lesson 1 alone, a playground without models, no reference: seconds"
    )
    options = parser.parse_args(words)
    return console.run("site", lambda: write(options.folder, fast=options.fast))


def write(folder: Path, *, fast: bool) -> int:
    """Write all of it; returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = RUN if (RUN / "report" / "index.html").exists() and not fast else None
    beside = {"Playground": "play.html", "Course": "course/index.html", "Gallery": "gallery.html"}
    beside |= {"A trained GPT": "report/index.html"} if trained else {}
    beside |= {"Benchmarks": "benchmarks.html"} if fast else {
        "Benchmarks": "benchmarks.html", "Reference": "reference/index.html"
    }  # fmt: skip
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        body = landing(text) if name == "index.html" else f'<main class="prose">{to_html(text, source)}</main>'
        (folder / name).write_text(page(body, title(text), beside, name), encoding="utf-8")
    text = page(gallery(folder), "Gallery", beside, "gallery.html", sources=" 'self' file:")
    (folder / "gallery.html").write_text(text, encoding="utf-8")
    print(f"Wrote {len(PAGES) + 1} pages", flush=True)
    if trained:
        shutil.copytree(trained / "report", folder / "report", dirs_exist_ok=True)
    code = parts(folder, trained, fast=fast)
    if not code:
        print(f"Open {folder / 'index.html'}")
    return code


def parts(folder: Path, trained: Path | None, *, fast: bool) -> int:
    """Write what other commands make: the playground, the course, the API reference; returns the exit code."""
    course = ["site", str(folder / "course")]
    if fast:
        play_page().save(folder / "play.html")
        return lessons.cli.main([*course, "--fast", "--only", "1"])
    play = ["play", *([str(trained)] if trained else []), "--no-open", "--out", str(folder / "play.html")]
    return gpt.cli.main(play) or lessons.cli.main(course) or run.reference(folder / "reference")


def title(text: str) -> str:
    """Return the heading of a page."""
    return text.partition("\n")[0].removeprefix("# ")


def to_html(text: str, source: str) -> str:
    """Return Markdown as HTML whose links lead to pages of the site, with its pictures inside.

    >>> to_html("## One, two\\n[Values](docs/values.md#a-gpt)", "README.md")
    '<h2 id="one-two">One, two</h2>\\n<p><a href="values.html#a-gpt">Values</a></p>'
    """

    def name(found: re.Match[str]) -> str:
        words = re.sub(r"[^ \w-]", "", html.unescape(re.sub("<[^>]+>", "", found[2])).lower())
        return f'<h{found[1]} id="{words.replace(" ", "-")}">{found[2]}</h{found[1]}>'

    def link(found: re.Match[str]) -> str:
        path, mark, anchor = found[1].partition("#")
        if "://" in found[1] or not path:
            return found[0]
        return f'href="{(PAGES | ELSEWHERE)[_file(path, source)]}{mark}{anchor}"'

    def picture(found: re.Match[str]) -> str:
        return f'<img src="{_inside(ROOT / _file(found[1], source))}"'

    body = re.sub(r"<h(\d)>(.*?)</h\1>", name, markdown.to_html(text))
    return re.sub(r'<img src="([^"]+)"', picture, re.sub(r'href="([^"]+)"', link, body))


def _file(path: str, source: str) -> str:
    return (ROOT / source).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()


def _inside(picture: Path) -> str:
    """Return a picture as an address that needs no file."""
    return f"data:{KINDS[picture.suffix]};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def landing(text: str) -> str:
    """Return the body of the landing page: what it is, where to begin, and a band for each section."""
    top, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    words, pictures = _apart(to_html(top, "README.md"))
    bands = []
    for section in sections:
        prose, beside = _apart(to_html(section, "README.md"))
        bands.append(f'<section class="band"><div class="prose">{prose}</div>{beside}</section>')
    return fill(
        (DOCS / "landing.html").read_text(encoding="utf-8"),
        {"WORDS": words, "PICTURE": pictures, "BANDS": "\n".join(bands)},
    )


def _apart(body: str) -> tuple[str, str]:
    """Return the text of a section, and its pictures."""
    pictures = re.findall(r"<p>(<img [^>]+>)</p>", body)
    return re.sub(r"<p><img [^>]+></p>\n?", "", body), "".join(f"<figure>{picture}</figure>" for picture in pictures)


def pictures() -> Iterator[tuple[Path, str]]:
    """Yield the pictures of all pages, each once, with the words for it."""
    seen: dict[Path, str] = {}
    for source in PAGES:
        for words, path in re.findall(
            r"^!\[(.+?)\]\((.+?)\)", (ROOT / source).read_text(encoding="utf-8"), re.MULTILINE
        ):
            seen.setdefault(ROOT / _file(path, source), words)
    yield from seen.items()


def gallery(folder: Path) -> str:
    """Return the body of the gallery; its pictures are files, drawn when they come into sight."""
    (folder / "pictures").mkdir(exist_ok=True)
    figures = ""
    for path, words in pictures():
        shutil.copyfile(path, folder / "pictures" / path.name)
        picture = f'<img src="pictures/{path.name}" alt="" loading="lazy">'
        figures += f"<figure>{picture}<figcaption>{html.escape(words)}</figcaption></figure>"
    how = '<a href="drawings.html">How</a>'
    intro = f"<h1>Gallery</h1><p>Every picture is drawn by the code, and its numbers are computed. {how}</p>"
    return f'<main class="gallery">{intro}{figures}</main>'


def page(body: str, heading: str, beside: dict[str, str], name: str, sources: str = "") -> str:
    """Return a whole page with links to the parts of the site; ``sources`` are those of its pictures."""
    links = "".join(
        f'<a href="{target}"{" aria-current=page" * (target == name)}>{words}</a>' for words, target in beside.items()
    )
    style = (ROOT / "lessons" / "pages" / "site.css").read_text(encoding="utf-8")
    top = head(heading, style + (DOCS / "website.css").read_text(encoding="utf-8"), sources)
    return (
        f'{top}<body>\n<header><a class="home" href="index.html">tinygrad_edu</a>{links}'
        f'<button type="button" id="theme">dark / light</button></header>\n{body}\n'
        f"<script>{asset('theme.js')}</script>\n</body>\n</html>\n"
    )


if __name__ == "__main__":
    sys.exit(main())
