"""The report of a run: a folder that opens as one page. Each section is one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import viz
from tinygrad_edu import Value
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.compiler import Parameters
from tinygrad_edu.gradient_stats import GradientStats
from tinygrad_edu.training import files, reading, snapshots
from tinygrad_edu.training.engine import CompiledEngine
from viz.charts.arrows import Arrows
from viz.pages.report_page import BOXES, FOLDER, count, door, figure, settings, warning, words, write_report
from viz.pages.timemachine import spread
from viz.rendering.choice_page import choice_page
from viz.rendering.page import Page

from ..dataset import Told, shown_first, validation, words_for
from ..run import SavedRun, check_shapes
from ..sample import GUIDANCE, STEPS, Sampler, noise
from ..train import VALIDATED
from .attention import looked
from .loss_graph import recorded

__all__ = ["FOLDER", "LOOK_FOR", "SECTIONS", "Subject", "write"]

SHOWN, POINTS = 8, 300  # pictures in a row, and points in a plane
FRAMES = 9  # snapshots, at most
MOMENTS = (0, 4, 8, 12, 16, 20)  # steps of the way that are shown
GUIDANCES = (0.0, 1.0, 2.0, 4.0)
SCALARS = 1_500_000  # of the loss that is drawn, about
ATTENDED = 10  # the step of the way at which attention is shown


@dataclass(frozen=True)
class Frame:
    """What a model paints at one snapshot of its training.

    Attributes:
        step: the number of steps so far.
        way: from noise to pictures.                                                                # (moments, B, p)
        chart: the same, drawn.
    """

    step: int
    way: Any
    chart: Any


class Subject:
    """The run to report on, and what several sections need from it; each part is computed on first use.

    Args:
        run: the run.
        folder: the folder of the report.
    """

    def __init__(self, run: SavedRun, folder: Path) -> None:
        self.run, self.folder = run, folder
        self.config = run.config.model
        self.points = self.config.pixels == 2
        self.guided = "" if self.config.condition == "nothing" else f", with guidance {GUIDANCE:g}"
        self.told: list[Told] = shown_first(self.config, POINTS if self.points else SHOWN)
        self.names = [""] * SHOWN if self.config.condition == "nothing" else [
            words_for(self.config, one).removeprefix("a ") for one in self.told
        ]  # fmt: skip

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the log up to the saved step."""
        return [record for record in self.run.log() if record["step"] <= self.run.step]

    @cached_property
    def _parameters(self) -> Parameters:
        return Parameters(self.run.model)

    @cached_property
    def painter(self) -> Sampler:
        """What paints with the model as it was last saved."""
        return Sampler(self.run.model, self._parameters)

    @cached_property
    def start(self) -> Any:
        """The noise of all pictures of the report: the same, so that they can be compared.  # (B, n)"""
        return noise(self.config, len(self.told), self.run.config.train.seed)

    @cached_property
    def way(self) -> Any:
        """The way of the last model.  # (steps + 1, B, n)"""
        return self.painter.way(self.start, self.told, STEPS, GUIDANCE)

    @cached_property
    def frames(self) -> list[Frame]:
        """What the snapshots paint, and at last the model."""
        taken = snapshots.taken(self.run.folder)
        found = []
        for step in spread([step for step in taken if step < self.run.step], FRAMES - 1):
            with self._at(taken[step]):
                found.append(self._frame(step, self.painter.way(self.start, self.told, STEPS, GUIDANCE)))
        return [*found, self._frame(self.run.step, self.way)]

    def _frame(self, step: int, way: Any) -> Frame:
        seen = [self.painter.pictures(way[moment]) for moment in MOMENTS]
        title = f"After step {step:,}"
        if self.points:
            return Frame(step, seen, self.arrows([0, 8, 16, 20], way, title))
        rows = {name or f"{i + 1}": [x[i] for x in seen] for i, name in enumerate(self.names)}
        columns = [f"t = {moment / STEPS:g}" for moment in MOMENTS]
        return Frame(step, seen, viz.pictures(rows, columns=columns, title=title))

    def arrows(self, moments: Sequence[int], way: Any, title: str) -> Arrows:
        """Draw the velocity in the plane at moments of the way, and where the points are then."""
        fields, points = {}, {}
        for moment in moments:
            name = f"t = {moment / STEPS:g}"
            fields[name] = lambda place, time=moment / STEPS: self.painter.velocity([place], time, [()])[0]
            points[name] = way[moment]
        return viz.arrows(fields, points=points, title=title)

    @contextmanager
    def _at(self, snapshot: Path) -> Iterator[None]:
        """Put the numbers of a snapshot into the model, and take them out again."""
        model, engine = self.run.model, self.run.config.train.engine
        numbers = [p.data for p in model.parameters()]
        with reading.open_tensors(snapshot) as file:
            check_shapes(model, file.shapes, snapshot)
            files.load_parameters(model, file.arrays(), snapshot, engine)
        self._parameters.refresh()
        try:
            yield
        finally:
            for p, number in zip(model.parameters(), numbers, strict=True):
                p.data = number
            self._parameters.refresh()

    @cached_property
    def recorded(self) -> tuple[Value, CallRecord, str]:
        """A loss in scalars: of one example, or of the corner of a large picture."""
        _ = self.gradients  # which are measured first: they would be added to those of this loss
        return recorded(self.run.model, SCALARS)

    @cached_property
    def gradients(self) -> list[GradientStats]:
        """The gradient of every table of parameters, on the examples of a validation."""
        engine = CompiledEngine(self.run.model, self.run.config.train)
        return engine.measure(validation(self.config, VALIDATED))


def write(subject: Subject, say: Callable[[str], None] = lambda title: None) -> Path:
    """Write the folder; see :func:`viz.pages.report_page.write_report`."""
    config = subject.config
    there = {"guidance": config.condition != "nothing", "attention": config.condition == "text"}
    shown = [section for section in SECTIONS if there.get(section[0], True)]
    title = f"{subject.run.folder.resolve().name}: the report of a training"
    return write_report(subject.folder, title, shown, LOOK_FOR, subject, say)


# --- the sections -----------------------------------------------------------------------------------------------------


def _run(subject: Subject) -> list[str]:
    run, config, training = subject.run, subject.config, subject.run.config.train
    parts = []
    if run.step < training.steps:
        parts.append(
            warning(f"The run stopped after {run.step:,} of {training.steps:,} steps; this report covers those.")
        )
    told = {"class": "told the class", "text": "told in words"}.get(config.condition, "told nothing")
    parts.append(
        words(f"A painter of {config.data} with {len(run.model.parameters()):,} scalars: {config.shape()}; {told}.")
    )
    if config.latent:
        parts.append(
            words(f"The flow makes {config.numbers} numbers, of which an autoencoder makes {config.pixels} pixels.")
        )
    parts.append(
        words(
            f"It has made {count(run.step, 'step')} of {count(training.batch_size, 'example')} each. AdamW; the "
            f"learning rate rises for {count(training.warmup_steps, 'step')} to {training.lr:g} ({training.schedule}); "
            f"seed {training.seed}."
        )
    )
    validated = [r for r in subject.log if r.get("val_loss") is not None]
    if validated:
        parts.append(words(f"Validation loss {validated[-1]['val_loss']:.4f}: the mean squared error of the velocity."))
    return [*parts, settings(config, training)]


def _loss(subject: Subject) -> list[str]:
    title = f"Loss over {count(subject.run.step, 'step')}"
    chart = viz.loss_curve(subject.log, title=title, unit="mean squared error")
    return [figure(subject.folder, chart, "loss", "the training and validation losses over the steps")]


def _samples(subject: Subject) -> list[str]:
    about = words(f"The same noise, painted by the model as it was after some of its steps{subject.guided}.")
    if subject.points:
        charts = [replace(frame.chart.panels[-1], name=f"step {frame.step:,}") for frame in subject.frames]
        longest = max(frame.chart.longest for frame in subject.frames)
        chart: Any = replace(subject.frames[-1].chart, panels=charts, longest=longest, title="Painted on the way")
    else:
        rows = {f"step {frame.step:,}": list(frame.way[-1]) for frame in subject.frames}
        columns = [] if subject.config.condition != "class" else subject.names
        chart = viz.pictures(rows, columns=columns, title="Painted on the way")
    shown = [about, figure(subject.folder, chart, "samples", "what the model painted after some of its steps")]
    if subject.config.condition == "text":
        shown.append(words(f"Asked for, from left to right: {'; '.join(subject.names)}."))
    return shown if len(subject.frames) > 1 else [*shown, words(_NO_SNAPSHOTS)]


def _way(subject: Subject) -> list[str]:
    about = "from noise to picture" if not subject.points else "the velocity at moments of the way, and the points"
    said = f"{STEPS} steps of Euler's method{subject.guided}: the picture at some of them."
    if subject.points:
        said = f"{STEPS} steps of Euler's method: arrows say where a point of the plane goes at that moment."
    return [words(said), figure(subject.folder, subject.frames[-1].chart, "way", about)]


def _time_machine(subject: Subject) -> list[str]:
    frames = subject.frames
    if len(frames) < 2:
        return [words(_NO_SNAPSHOTS)]
    steps = [f"{frame.step:,}" for frame in frames]
    title = f"{subject.run.folder.resolve().name}: the training again"
    page = choice_page(title, {"step": steps}, [frame.chart.svg() for frame in frames], slider=True)
    Page(page).save(subject.folder / "timemachine.html")
    return [door("timemachine.html", "Open the time machine", f"{len(steps)} models: steps {', '.join(steps)}")]


def _guidance(subject: Subject) -> list[str]:
    painter = subject.painter
    made = [painter.pictures(painter.way(subject.start, subject.told, STEPS, s)[-1]) for s in GUIDANCES]
    rows = {name: [row[i] for row in made] for i, name in enumerate(subject.names)}
    chart = viz.pictures(rows, columns=[f"s = {s:g}" for s in GUIDANCES], title="Guidance")
    return [
        words(
            "v = v_u + s · (v_c − v_u): v_c is the velocity when told, v_u when told nothing. Each row has one noise."
        ),
        figure(subject.folder, chart, "guidance", "what is painted, for several strengths of guidance"),
    ]


def _attention(subject: Subject) -> list[str]:
    config, one = subject.config, subject.told[0][0]
    caption = words_for(config, subject.told[0]).split()
    heads = looked(subject.run.model, subject.way[ATTENDED][0].tolist(), ATTENDED / STEPS, one)
    share = heads.mean(axis=1)  # (layers, patches, words)
    rows = {f"block {i + 1}": list(layer.T[: len(caption)]) for i, layer in enumerate(share)}
    chart = viz.pictures(
        rows, columns=caption, low=0.0, high=float(share.max()), title="Which patch looks at which word"
    )
    return [
        words(
            f"“{' '.join(caption)}”, at t = {ATTENDED / STEPS:g}: how much of its attention each of the "
            f"{config.across} × {config.across} patches gives to each word, the mean of {count(config.heads, 'head')}. "
            f"Together the words get {share[:, :, : len(caption)].sum(axis=2).mean():.0%}, the empty places of the "
            f"caption the rest."
        ),
        figure(subject.folder, chart, "attention", "attention from the patches of the picture to the words"),
    ]


def _flow(subject: Subject) -> list[str]:
    loss, calls, what = subject.recorded
    chart = viz.flow(loss, calls=calls, parameters=subject.gradients)
    return [
        words(
            f"At the parameters on {count(VALIDATED, 'example')} that no step got; at the results of modules on {what}."
        ),
        figure(
            subject.folder, chart, "flow", "mean and largest gradient of every table of parameters and every module"
        ),
    ]


def _flow_over_time(subject: Subject) -> list[str]:
    measured = files.read_flow(subject.run.folder)
    if not measured:
        return [words("This run has measured no gradients during training.")]
    chart = viz.flow_over(measured)
    return [figure(subject.folder, chart, "flow-over-time", "gradients of every table of parameters over the training")]


def _graph(subject: Subject) -> list[str]:
    loss, calls, what = subject.recorded
    drawing = viz.draw(loss, calls=calls, budget=BOXES, direction="wrapped")
    total = f"{drawing.picture.total:,} Values in {len(drawing.picture.boxes)} boxes: " if drawing.picture else ""
    return [
        words(f"{total}every addition and multiplication of the loss on {what}. On the edges are the gradients."),
        figure(subject.folder, drawing, "graph", "the computation graph of one loss, folded into modules"),
    ]


_NO_SNAPSHOTS = "This run kept no snapshots; a run that is trained with --keep 9 shows what it painted on the way."


SECTIONS: Sequence[tuple[str, str, Callable[[Subject], list[str]]]] = (
    ("run", "The run", _run),
    ("loss", "Loss", _loss),
    ("samples", "What it painted", _samples),
    ("way", "From noise to picture", _way),
    ("time-machine", "Time machine", _time_machine),
    ("guidance", "Guidance", _guidance),
    ("attention", "Patches and words", _attention),
    ("flow", "Gradient flow", _flow),
    ("flow-over-time", "Gradient flow over time", _flow_over_time),
    ("graph", "The graph of the loss", _graph),
)

#: By section, what to see in it: the end of a sentence that begins with "Look for".
LOOK_FOR = {
    "run": "the number of parameters, what it is told, and the loss on examples that no step got.",
    "loss": "where it falls fast and where it flattens out: it never reaches 0, for noise cannot be foreseen.",
    "samples": "what comes first: roughly where, then outlines; details come last.",
    "way": "the moment from which you know what it will be: earlier it decides what, later it only sharpens.",
    "time-machine": "the first step at which the pictures are what was asked for.",
    "guidance": "the difference between s = 0, where nobody has said what to paint, and large s: clear, and all alike.",
    "attention": "words that say where: the patches there look at them. Words such as “a” say nothing, and get little.",
    "flow": "dots far to the left of the others: their gradient is small, and what is there learns little.",
    "flow-over-time": "lines that stay apart or drop: a table whose gradient vanishes has stopped learning.",
    "graph": "the way of the picture through the blocks, and the time, which shifts and scales every block.",
}
