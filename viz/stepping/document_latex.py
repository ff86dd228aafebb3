"""Write a document as a LaTeX article in which every line is a formula."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .document import Section

_PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage[a4paper, landscape, margin=15mm]{geometry}
\usepackage{iftex}
\ifPDFTeX\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\fi
\raggedright
\begin{document}"""
_SIGNS = {
    "∂": r"\partial ", "·": r" \cdot ", "−": "-", "←": r" \leftarrow ", "∞": r"\infty ", "σ": r"\sigma ",
    "{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$", "_": r"\_",
}  # fmt: skip
_ESCAPED = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", **{sign: f"\\{sign}" for sign in "{}#%&$_"},
}  # fmt: skip
_FUNCTIONS = ("exp", "log", "tanh", "sin", "cos", "max", "min")


def write(title: str, sections: Sequence[Section], names: Iterable[str]) -> str:
    """Return the text of the ``.tex`` file; ``names`` are those of the Values, as they occur in the lines."""
    math = _Formulas(names)
    parts = [_PREAMBLE, f"\\section*{{{_words(title)}}}"]
    for section in sections:
        parts.append(f"\\{'sub' * (section.level - 1)}section*{{{_words(section.title)}}}")
        parts += [f"\\noindent${math(name)} = {math(number)}$\\par" for name, number in section.table[1:]]
        for line in section.lines:
            parts.append(f"\\noindent${math(line.text)}$\\par")
            parts += [f"\\noindent\\quad{{\\small ${math(step)}$}}\\par" for step in line.inside]
    return "\n".join([*parts, "\\end{document}", ""])


def _words(text: str) -> str:
    """Escape text outside formulas."""
    return "".join(_ESCAPED.get(c, c) for c in text)


class _Formulas:
    """Turns a line of a document into a LaTeX formula."""

    def __init__(self, names: Iterable[str]) -> None:
        number = r"−?\d+\.?\d*(?:e−?\d+)?"
        either = "|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name))))
        # A name ends at a word boundary: v1 must not match the start of v12.
        self._token = re.compile(
            rf"(?P<name>(?<!\w)(?:{either})(?!\w))|(?P<number>{number})|(?P<word>[^\W\d_]{{2,}})|(?P<sign>.)"
        )
        self._power = re.compile(rf"\^(\([^()]*\)|{number}|{either})")

    def __call__(self, text: str) -> str:
        pieces: list[str] = []
        end = 0
        for match in self._power.finditer(text):
            inside = match[1][1:-1] if match[1].startswith("(") else match[1]
            pieces += (self._plain(text[end : match.start()]), f"^{{{self._plain(inside)}}}")
            end = match.end()
        return "".join([*pieces, self._plain(text[end:])])

    def _plain(self, text: str) -> str:
        return "".join(map(self._written, self._token.finditer(text)))

    def _written(self, match: re.Match[str]) -> str:
        text = match[0]
        if match["name"]:
            letters, digits = text.rstrip("0123456789"), text[len(text.rstrip("0123456789")) :]
            if letters in ("v", "x") and digits:
                return f"{letters}_{{{digits}}}"
            return text if len(text) == 1 and text.isascii() else rf"\text{{{_words(text)}}}"
        if match["number"]:
            mantissa, e, exponent = text.replace("−", "-").partition("e")
            return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else mantissa
        if match["word"]:
            return f"\\{text}" if text in _FUNCTIONS else rf"\text{{ {text} }}"
        return _SIGNS.get(text, text)
