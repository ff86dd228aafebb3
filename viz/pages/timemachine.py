"""The time machine: one page that goes back and forth through a training run and shows each snapshot as a whole.

The page holds loss, sample, attention, gradient flow and next character at each snapshot of the model, and needs no
network, no server and no installation. Keys: → ← Page Down, Page Up, Home, End, F5 to play, "." for a black screen;
``#step=250`` in the address opens the snapshot nearest to that step.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tinygrad_edu.gradient_stats import GradientStats

from .. import style
from ..rendering.page import Page
from ..rendering.templates import asset, page, script_json

Point = tuple[float, float]
Item = TypeVar("Item")

#: These limits keep the page below about 4 megabytes, whatever the model and the number of snapshots.
MOST_FRAMES, MOST_HEADS, MOST_LINES, MOST_POSITIONS, MOST_POINTS = 60, 48, 200, 24, 600
LIKELIEST = 8  # characters per position


@dataclass(frozen=True)
class Frame:
    """A model at one snapshot of its training.

    Attributes:
        step: the number of steps so far.
        losses: the losses by name, in nats per character.
        sample: text written by the model.
        attention: by the name of a head, row by row: how position i attends to positions 0 to i.         # (T), (≤ T)
        probabilities: those of every character of the alphabet, after each position of the sentence.       # (T, V)
        modules, parameters: the gradients at the results of modules, and those of the tables of parameters.
    """

    step: int
    losses: Mapping[str, float]
    sample: str
    attention: Mapping[str, Sequence[Sequence[float]]]
    probabilities: Sequence[Sequence[float]]
    modules: Sequence[GradientStats]
    parameters: Sequence[GradientStats]


def time_machine(
    frames: Sequence[Frame],
    *,
    sentence: Sequence[str],
    alphabet: Sequence[str],
    curves: Mapping[str, Sequence[Point]],
    baselines: Mapping[str, float] | None = None,
    title: str = "time machine",
    flow_characters: int | None = None,
) -> Page:
    """Make the page that scrubs through ``frames``.

    Args:
        frames: the snapshots by step; of more than 60, only 60 are shown, with the first and the last.
        sentence: the characters that the model reads, and the one that follows.                              # (T + 1)
        alphabet: the character of every token.
        curves: losses during training, by name, as points (step, loss).
        baselines: the losses of the n-gram baselines, by name.
        title: the title.
        flow_characters: the number of characters on which the gradients were measured, if not the whole sentence.

    Raises ValueError if there is no frame, frames are out of order or do not match, or the sentence is too long to read
    in a picture.

    >>> frame = Frame(0, {"validation": 0.69}, "ab", {"head": [[1.0]]}, [[0.5, 0.5]], [], [])
    >>> page = time_machine([frame], sentence="ab", alphabet="ab", curves={"training": [(1, 0.7)]})
    >>> "<h1>time machine</h1>" in page.html
    True
    """
    positions = len(sentence) - 1
    _check(frames, positions, alphabet)
    shown = spread(frames, MOST_FRAMES)
    heads = list(shown[0].attention)[:MOST_HEADS]
    token = {character: i for i, character in enumerate(alphabet)}
    following = [token[character] for character in sentence[1:]]
    data = {
        "sentence": [style.visible(character) for character in sentence],
        "following": following,
        "alphabet": [style.visible(character) for character in alphabet],
        "curves": {name: [_pair(*p) for p in _smoothed(points)] for name, points in curves.items()},
        "baselines": {name: round(loss, 4) for name, loss in (baselines or {}).items()},
        "heads": heads,
        "allHeads": len(shown[0].attention),
        "modules": [line.name for line in shown[0].modules[:MOST_LINES]],
        "parameters": [line.name for line in shown[0].parameters[:MOST_LINES]],
        "flowCharacters": flow_characters or positions,
        "frames": [_frame(frame, heads, following) for frame in shown],
    }
    parts = {
        "ROWS": "".join(_row(frame) for frame in shown),
        "DATA": script_json(data),
        "SCRIPT": asset("timemachine.js"),
    }
    return Page(page("timemachine.html", title, asset("timemachine.css"), parts))


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most ``most`` of the items, evenly spread, including the first and the last.

    >>> spread(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _check(frames: Sequence[Frame], positions: int, alphabet: Sequence[str]) -> None:
    if not frames:
        raise ValueError("there is no snapshot to show; give at least one frame")
    if not 1 <= positions <= MOST_POSITIONS:
        raise ValueError(
            f"a sentence has 2 to {MOST_POSITIONS + 1} characters, so that its attention can be read; "
            f"got {positions + 1}"
        )
    for before, after in itertools.pairwise(frames):
        if before.step >= after.step:
            raise ValueError(f"frames must be in order; got step {after.step} after step {before.step}")
    first = frames[0]
    for frame in frames:
        if list(frame.attention) != list(first.attention):
            raise ValueError(f"every frame has the same heads; those of step {frame.step} differ from the first one's")
        for name, rows in frame.attention.items():
            if [len(row) for row in rows] != list(range(1, positions + 1)):
                raise ValueError(
                    f"{name}, step {frame.step}: position i attends to positions 0 to i of {positions}, "
                    f"so row i has i + 1 weights; got rows of {', '.join(str(len(row)) for row in rows)}"
                )
        if [len(row) for row in frame.probabilities] != [len(alphabet)] * positions:
            raise ValueError(
                f"step {frame.step}: expected {len(alphabet)} probabilities after each of {positions} characters"
            )
        for kind in ("modules", "parameters"):
            if [line.name for line in getattr(frame, kind)] != [line.name for line in getattr(first, kind)]:
                raise ValueError(f"every frame has the same {kind}; those of step {frame.step} differ")


def _frame(frame: Frame, heads: Sequence[str], following: Sequence[int]) -> dict[str, object]:
    return {
        "step": frame.step,
        "losses": {name: _short(loss, 6) for name, loss in frame.losses.items()},
        "sample": frame.sample,
        # Thousandths, head by head, row by row: small, and as exact as the eye can see.
        "attention": [[round(1000 * weight) for row in frame.attention[name] for weight in row] for name in heads],
        "next": [_likeliest(row, token) for row, token in zip(frame.probabilities, following, strict=True)],
        "modules": [_line(line) for line in frame.modules[:MOST_LINES]],
        "parameters": [_line(line) for line in frame.parameters[:MOST_LINES]],
    }


def _likeliest(probabilities: Sequence[float], following: int) -> list[list[float]]:
    """Return pairs of token and probability, most likely first; the one that really follows is always included."""
    order = sorted(range(len(probabilities)), key=lambda token: -probabilities[token])
    chosen = order[:LIKELIEST]
    if following not in chosen:
        chosen = [*chosen[:-1], following]
    return [[token, round(probabilities[token], 4)] for token in chosen]


def _line(line: GradientStats) -> list[float | None]:
    return [_short(line.mean, 3), _short(line.largest, 3), round(line.zeros, 3), line.not_finite]


def _short(x: float, digits: int) -> float | None:
    return float(f"{x:.{digits}g}") if math.isfinite(x) else None


def _pair(step: float, loss: float) -> list[float | None]:
    return [round(step, 1), _short(loss, 5)]


def _smoothed(points: Sequence[Point]) -> Iterator[Point]:
    """Reduce to at most :data:`MOST_POINTS` points, each the mean of neighbors."""
    points = [point for point in points if math.isfinite(point[1])]
    several = -(-len(points) // MOST_POINTS)
    for start in range(0, len(points), max(several, 1)):
        some = points[start : start + several]
        yield math.fsum(x for x, _ in some) / len(some), math.fsum(y for _, y in some) / len(some)


def _row(frame: Frame) -> str:
    losses = ", ".join(f"{name} {style.number(loss)}" for name, loss in frame.losses.items())
    return f"<tr><th>{frame.step}</th><td>{html.escape(losses)}</td><td>{html.escape(frame.sample)}</td></tr>"
