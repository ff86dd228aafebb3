"""One page that scrubs through the snapshots of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tinygrad_edu import collector_paused
from viz.charts.flow import lines
from viz.pages.timemachine import MOST_FRAMES, Frame, spread, time_machine
from viz.rendering.page import Page

from ..errors import CheckpointError, ConfigError
from ..inspection.loss_graph import drawn_unasked, readable, recorded_loss
from ..inspection.observer import SENTENCE, Observer, first_sentence
from ..runs import checkpoint
from ..runs.checkpoint import RunConfig
from ..train import Run

__all__ = ["chosen_sentence", "frames_of", "page_from", "page_of"]

FLOW_SCALARS = 500_000  # in the graph whose gradients are measured: with the rest a second per snapshot


def chosen_sentence(this: Run, config: RunConfig, text: str | None) -> list[int]:
    """Return what all snapshots read, and the character after it: ``text``, or a line or a document for validation."""
    most = min(SENTENCE, config.model.block_size)
    corpus = this.corpus
    if text is None:
        return (
            corpus.beginning(most + 1) if corpus.end is not None else first_sentence(corpus.val, corpus.tokenizer, most)
        )
    if len(text) < 2:
        raise ConfigError(f"a sentence needs at least two characters, one to read and one to expect; got {text!r}")
    return corpus.tokenizer.encode(config.opening(text))[: most + 1]


def page_of(this: Run, taken: dict[int, Path], sentence: Sequence[int]) -> Page:
    """Make the page of a run's snapshots; the run is unchanged afterward."""
    return page_from(this, frames_of(this, Observer(this, sentence), taken), sentence)


def frames_of(this: Run, observer: Observer, taken: dict[int, Path]) -> list[Frame]:
    """What the page shows of a run's snapshots, or of some of many; afterwards the run is as it was."""
    parameters, at = this.model.parameters(), this.step
    numbers = [p.data for p in parameters]
    try:
        with collector_paused():  # the compiled programs and the model are millions of objects, and none is garbage
            return [_frame(this, observer, step, taken[step]) for step in spread(sorted(taken), MOST_FRAMES)]
    finally:
        for p, number in zip(parameters, numbers, strict=True):
            p.data = number
        this.engine.refresh()
        this.step = at


def page_from(this: Run, frames: Sequence[Frame], sentence: Sequence[int]) -> Page:
    """Make the page of frames, with the curves of the whole run."""
    tokenizer = this.corpus.tokenizer
    log = checkpoint.read_log(this.folder)
    validation = {r["step"]: r.get("watched_loss", r["val_loss"]) for r in log if r.get("val_loss") is not None}
    validation |= {frame.step: frame.losses["validation"] for frame in frames}
    return time_machine(
        frames,
        sentence=[tokenizer.decode([token]) for token in sentence],
        alphabet=tokenizer.alphabet,
        curves={
            "training": [(r["step"], r["train_loss"]) for r in log if r["train_loss"] is not None],
            "validation": sorted(validation.items()),
        },
        baselines={baseline.name: baseline.loss for baseline in this.baselines},
        title=f"Training of the run {this.folder.resolve().name}",
        flow_characters=readable(this.model, len(sentence) - 1, FLOW_SCALARS),
    )


def _frame(this: Run, observer: Observer, step: int, snapshot: Path) -> Frame:
    seen = observer.see(snapshot)
    if seen.step != step:
        raise CheckpointError(f"{snapshot} is damaged: it was saved at step {seen.step}; remove or rename it")
    small = drawn_unasked(this.model)
    parameters, modules = lines(recorded_loss(this.model, observer.sentence, FLOW_SCALARS)[1]) if small else ([], [])
    losses = {"training": seen.train_loss, "validation": seen.val_loss, "this sentence": seen.sentence_loss}
    return Frame(
        seen.step,
        {name: loss for name, loss in losses.items() if loss is not None},
        seen.sample,
        dict(_named(seen.attention)),
        seen.probabilities,
        modules,
        parameters,
    )


def _named(attention: Sequence[Sequence[list[list[float]]]]) -> Iterator[tuple[str, list[list[float]]]]:
    """Name heads as in the gradient flow."""
    for layer, heads in enumerate(attention):
        for head, rows in enumerate(heads, 1):
            yield f"h.{layer}.attn.head {head}", rows
