"""The report of a run: a folder that opens as one page. Each section is one function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import viz
from tinygrad_edu import Value, compiler
from tinygrad_edu.training import snapshots
from viz.charts.attention import Attention, AttentionMap
from viz.pages.report_page import (
    BOXES,
    FOLDER,
    PAGE,
    count,
    door,
    figure,
    settings,
    warning,
    words,
    write_report,
    written,
)
from viz.pages.timemachine import Frame, spread
from viz.style import visible

from ..engines.compiled import CompiledEngine
from ..inspection.examination import Examination, Gradients, watched
from ..inspection.loss_graph import WHOLE, LastBlocks, Recorded, end_drawn_unasked, recorded_end
from ..inspection.observer import Observation, Observer, observed
from ..model import GPT, parameter_shapes
from ..runs import checkpoint
from ..runs.early_stopping import BestLoss
from ..runs.saved_run import SavedRun
from ..runs.wording import OF_DOCUMENTS, command_line, final_validation, judged
from ..sample import distribution
from ..train import Run
from .playground import read_page, trained
from .timemachine import chosen_sentence, frames_of, page_from

__all__ = ["FOLDER", "LOOK_FOR", "PAGE", "SECTIONS", "Subject", "write"]

SAMPLES = 6  # snapshots shown
ATTENTION_POSITIONS = 12  # with readable numbers
SEARCHED_SCALARS = 500_000  # in the graph that is searched for problems and can be explored


class Subject:
    """The run to report on, and what several sections need from it; each part is computed on first use.

    Args:
        run: the run after its last step.
        folder: the folder of the report.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = observed(run), folder
        engine = run.engine if isinstance(run.engine, CompiledEngine) else self.run.engine
        assert isinstance(engine, CompiledEngine)  # observed() sees to it
        self._engine = engine

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the log up to the saved step."""
        return [record for record in checkpoint.read_log(self.run.folder) if record["step"] <= self.run.step]

    @cached_property
    def observer(self) -> Observer:
        """The observer of the model on a sentence of the validation text."""
        return Observer(self.run, chosen_sentence(self.run, self.run.config, None))

    @cached_property
    def observation(self) -> Observation:
        """The model as it was last saved."""
        return self.observer.look()

    @cached_property
    def frames(self) -> list[Frame]:
        """The frames of the time machine; none if the run kept no snapshots."""
        taken = snapshots.taken(self.run.folder)
        return frames_of(self.run, self.observer, taken) if taken else []

    @cached_property
    def loss_drawing(self) -> Any:
        """The graph of the recorded loss, folded."""
        this = self.recorded
        return viz.draw(this.loss, calls=this.calls, budget=BOXES, direction="wrapped")

    @cached_property
    def recorded(self) -> Recorded:
        """A loss small enough to be searched and explored: of the whole model, or of its last blocks."""
        self._check_size()
        return recorded_end(
            self.run.model,
            self.observer.sentence,
            SEARCHED_SCALARS,
            WHOLE,
            lambda first: [[Value(x) for x in self.observation.given[first, 0].tolist()]],
        )

    @cached_property
    def examination(self) -> Examination:
        """The examination over more characters than a graph can hold."""
        return self.observer.examination

    @cached_property
    def gradients(self) -> Gradients:
        """The gradients of the loss on those characters."""
        return self.examination.gradients()

    @cached_property
    def compiled(self) -> Any:
        """The recorded loss, compiled; for a model too large for that, the training loss.

        It does not matter whether this process has trained: a repeated report shows the same.
        """
        if end_drawn_unasked(self.run.model):
            return self.recorded_compiled
        self._engine.compile(self.run.corpus.validation(self.run.config.model.block_size, 1))
        return self._engine.compiled

    @cached_property
    def recorded_compiled(self) -> Any:
        """The recorded loss, compiled."""
        this, model, sentence = self.recorded, self.run.model, self.observer.sentence
        read, targets = sentence[: this.length], sentence[1 : this.length + 1]
        model.eval()
        if this.first:
            end = LastBlocks(model, this.first)
            compiled = compiler.jit(end.loss, compiler.Parameters(end), watch=False)
            compiled([[[v.data for v in row] for row in this.given]], [targets])
        else:
            compiled = compiler.jit(model.loss, compiler.Parameters(model), watch=False)
            compiled([read], [targets])
        return compiled

    @cached_property
    def program_drawing(self) -> Any:
        """The compiled loss."""
        return viz.draw_program(self.compiled)

    def _check_size(self) -> None:
        if not end_drawn_unasked(self.run.model):
            raise viz.DrawingError(
                f"even on one character the loss of this model has {2 * _size(self.run.model):,} scalars, "
                f"and its last block alone would take minutes; {command_line('draw', self.run.folder)} "
                f"draws them"
            )

    def about(self) -> str:
        """Say which part the graph of the recorded loss shows, and on how many characters."""
        return self.recorded.about(self.run.config.model.n_layer)

    def characters(self, tokens: Sequence[int]) -> list[str]:
        """Return each token as its character."""
        return [self.run.corpus.tokenizer.decode([token]) for token in tokens]


def write(subject: Subject, say: Callable[[str], None] = lambda title: None) -> Path:
    """Write the folder; see :func:`viz.pages.report_page.write_report`."""
    title = f"{subject.run.folder.resolve().name}: the report of a training"
    return write_report(subject.folder, title, SECTIONS, LOOK_FOR, subject, say, ["playground.html"])


# --- the sections -----------------------------------------------------------------------------------------------------


def _run(subject: Subject) -> list[str]:
    run = subject.run
    model, training, step = run.config.model, run.config.train, run.step
    seen = round(step * training.batch_size * run.corpus.characters_per_sequence(model.block_size))
    text = run.config.dataset or Path(run.config.data or "").name
    parts = []
    if step < training.steps:
        parts.append(warning(f"The run stopped after {step:,} of {training.steps:,} steps; this report covers those."))
    parts.append(
        words(
            f"A GPT of {_size(run.model):,} scalars: {count(model.n_layer, 'layer')} of "
            f"{count(model.n_head, 'head')}, {model.n_embd} numbers per character, and a context of "
            f"{model.block_size} characters out of an alphabet of {model.vocab_size}."
        )
    )
    falls = "and stays there" if training.schedule == "constant" else f"then falls to {training.min_lr:g}"
    joined = f" That schedule holds from step {run.config.joined[0]:,} on." if run.config.joined else ""
    times = seen / len(run.corpus.train)
    parts.append(
        words(
            f"It has made {count(step, 'step')} of {count(training.batch_size, 'sequence')} each on {text}: "
            f"{seen:,} characters, {times:.2g} times the training text. AdamW; the learning rate rises for "
            f"{count(training.warmup_steps, 'step')} to {training.lr:g}, {falls} ({training.schedule}); "
            f"seed {training.seed}.{joined}"
        )
    )
    if run.config.documents:
        parts.append(words(OF_DOCUMENTS))
    best = BestLoss(subject.log)
    validated = [r for r in subject.log if r.get("val_loss") is not None]
    if validated:
        over = final_validation(validated[-1], training)
        parts.append(words(f"Validation loss {judged(validated[-1]['val_loss'], run.baselines)}{over}."))
    if best.step not in (None, step):
        parts.append(
            words(
                f"On the {count(training.eval_sequences, 'sequence')} of the validations on the way, the lowest loss "
                f"was {best.loss:.4f}, after step {best.step:,}; that model is kept."
            )
        )
    return [*parts, settings(model, training)]


def _loss(subject: Subject) -> list[str]:
    chart = viz.loss_curve(
        subject.log, baselines=subject.run.baselines, title=f"Loss over {count(subject.run.step, 'step')}"
    )
    knows = "; ".join(f"{baseline.name} knows {baseline.counts}" for baseline in subject.run.baselines)
    shown = [figure(subject.folder, chart, "loss", "the training and validation losses over the steps")]
    if knows:
        shown.append(words(f"The horizontal lines are the baselines on this text ({knows})."))
    return shown


def _samples(subject: Subject) -> list[str]:
    samples = {frame.step: frame.sample for frame in spread(subject.frames, SAMPLES)}
    samples[subject.run.step] = subject.observation.sample
    parts = [written({f"after step {step:,}": sample for step, sample in samples.items()})]
    return parts if subject.frames else [*parts, words(_no_snapshots())]


def _time_machine(subject: Subject) -> list[str]:
    if not subject.frames:
        return [words(_no_snapshots())]
    page_from(subject.run, subject.frames, subject.observer.sentence).save(subject.folder / "timemachine.html")
    steps = ", ".join(f"{frame.step:,}" for frame in subject.frames[:20])
    about = f"{len(subject.frames)} snapshots: steps {steps}{' …' if len(subject.frames) > 20 else ''}"
    return [door("timemachine.html", "Open the time machine", about)]


def _playground(subject: Subject) -> list[str]:
    assets, facts = trained(SavedRun.open(subject.run.folder))
    read_page(assets, facts).save(subject.folder / "playground.html")
    about = "type a text: what the model expects next, where its heads look, what each part is good for, every number"
    return [
        words("The model itself, in a page that computes it for any text you type."),
        door("playground.html", "Play with the model", about),
    ]


def _no_snapshots() -> str:
    return (
        f"This run kept no snapshots. A run that keeps twenty: "
        f"{command_line('train --keep 20 --report --out', Path('runs') / 'kept')}"
    )


def _next(subject: Subject) -> list[str]:
    sentence, after = subject.observer.sentence, subject.observation.probabilities[-1]
    logits = [math.log(max(p, 1e-300)) for p in after]
    stages = {
        "what the model says": after,
        "temperature 0.8": distribution(logits, 0.8),
        "then top-k 10": distribution(logits, 0.8, 10),
        "then top-p 0.9": distribution(logits, 0.8, 10, 0.9),
    }
    before = visible("".join(subject.characters(sentence[:-1])))
    chart = viz.next_characters(stages, subject.run.corpus.tokenizer.alphabet, title=f"After “{before}”")
    return [
        figure(subject.folder, chart, "next", "which character comes next, before and after the filters of sampling")
    ]


def _attention(subject: Subject) -> list[str]:
    shown = min(ATTENTION_POSITIONS, len(subject.observer.sentence) - 1)
    maps = [
        AttentionMap(layer, head, f"layer {layer}", rows[:shown], shown)
        for layer, heads in enumerate(subject.observation.attention)
        for head, rows in enumerate(heads)
    ]
    tokens = [visible(c) for c in subject.characters(subject.observer.sentence[:shown])]
    whole = Attention(maps, tokens, f"Attention after step {subject.run.step:,}")
    return [
        words("What each head attends to while the model reads a line of the validation text."),
        figure(subject.folder, whole, "attention", "attention maps, one for each head of each layer"),
    ]


def _embeddings(subject: Subject) -> list[str]:
    run = subject.run
    title = f"Embeddings after step {run.step:,}"
    chart = viz.embeddings(run.model.transformer.wte.weight, run.corpus.tokenizer.alphabet, title=title)
    return [
        words(f"The {run.config.model.n_embd} numbers of each character, in the plane in which they differ most."),
        figure(subject.folder, chart, "embeddings", "the vectors of all characters in a plane"),
    ]


def _weights(subject: Subject) -> list[str]:
    run, gradients = subject.run, subject.gradients
    chart = viz.histogram(
        run.engine.numbers(),
        gradients=gradients.tables,
        title=f"Weights after step {run.step:,}, and the gradients of one loss",
    )
    return [
        words(f"The loss is that on {count(gradients.characters, 'character')} of the validation text."),
        figure(subject.folder, chart, "histograms", "how the weights and gradients of every table are distributed"),
    ]


def _flow(subject: Subject) -> list[str]:
    this, gradients, units = subject.recorded, subject.gradients, subject.examination.units()
    layers = gradients.blocks if this.first else {}
    measured = viz.flow(this.loss, calls=this.calls, units=units, parameters=gradients.parameters, layers=layers)
    return [
        words(
            f"The gradients of the last model at its parameters, on {count(gradients.characters, 'character')} of the "
            f"validation text, and at the results of modules: {subject.about()}. "
            f"{watched(units)}"
        ),
        figure(
            subject.folder,
            measured,
            "flow",
            "mean and largest gradient of every table of parameters and of every module",
        ),
    ]


def _flow_over_time(subject: Subject) -> list[str]:
    measured = checkpoint.read_flow(subject.run.folder)
    if not measured:
        return [words("This run has measured no gradients during training.")]
    chart = viz.flow_over(measured)
    return [
        words("The gradients of training batches, as they were measured at the validations."),
        figure(subject.folder, chart, "flow-over-time", "gradients of every table of parameters over the training"),
    ]


def _graph(subject: Subject) -> list[str]:
    drawing = subject.loss_drawing
    total = f"{drawing.picture.total:,} Values in {len(drawing.picture.boxes)} boxes: " if drawing.picture else ""
    return [
        words(
            f"{total}every addition and multiplication of {subject.about()}. "
            f"On the edges are the gradients that flow back."
        ),
        figure(subject.folder, drawing, "graph", "the computation graph of one loss, folded into modules"),
    ]


def _explorer(subject: Subject) -> list[str]:
    this = subject.recorded
    tokens = subject.characters(subject.observer.sentence[: this.length])
    title = f"loss on {count(this.length, 'character')}"
    viz.explore(this.loss, calls=this.calls, tokens=tokens, title=title).save(subject.folder / "explorer.html")
    about = f"{subject.about()}; from {'these blocks' if this.first else 'the whole GPT'} down to one multiplication"
    return [door("explorer.html", "Walk through the graph", about)]


def _program(subject: Subject) -> list[str]:
    shown = [
        figure(
            subject.folder, subject.program_drawing, "program", "the array program that the scalars were compiled to"
        )
    ]
    if end_drawn_unasked(subject.run.model):
        this, on = subject.recorded, subject.about()
        shown.insert(0, words(f"This is {on}; without dropout, compiled for the report."))
        viz.compilation(subject.recorded_compiled, this.loss, calls=this.calls).save(
            subject.folder / "compilation.html"
        )
        about = f"which multiplications became which matrix product, in {on}"
        shown.append(door("compilation.html", "The scalars and their program", about))
    return shown


SECTIONS: Sequence[tuple[str, str, Callable[[Subject], list[str]]]] = (
    ("run", "The run", _run),
    ("loss", "Loss", _loss),
    ("samples", "What it wrote", _samples),
    ("playground", "Your own text", _playground),
    ("time-machine", "Time machine", _time_machine),
    ("next", "The next character", _next),
    ("attention", "Attention", _attention),
    ("embeddings", "Embeddings", _embeddings),
    ("weights", "Weights", _weights),
    ("flow", "Gradient flow", _flow),
    ("flow-over-time", "Gradient flow over time", _flow_over_time),
    ("graph", "The graph of the loss", _graph),
    ("explorer", "The graph to walk through", _explorer),
    ("program", "The compiled program", _program),
)


#: By section, what to see in it: the end of a sentence that begins with "Look for".
LOOK_FOR = {
    "run": "the number of parameters, how often the text was read, and the loss on text that was never trained on.",
    "loss": "the steps at which the curve crosses a horizontal line, and whether the validation loss rises again: "
    "then the model learns its text by heart.",
    "samples": "what comes first: the frequent letters, then the lengths of words, then words, then who speaks.",
    "playground": "a text that surprises the model, and a head without which the loss rises most.",
    "time-machine": "the step at which a bar becomes long: from there on the model knows that character.",
    "next": "how each filter leaves fewer characters, the likelier ones; where the model is sure, only one is left.",
    "attention": "diagonals and columns: a diagonal looks a fixed distance back, a column always at one place.",
    "embeddings": "neighbors: in a long training, characters that are used alike, such as vowels, move together.",
    "weights": "tables that are much wider than the others, and gradients that are all near 0: those learn nothing.",
    "flow": "dots far to the left of the others: their gradient is small, and what is there learns little.",
    "flow-over-time": "rows that fade from left to right: a table whose gradient vanishes has stopped learning.",
    "graph": "the length of the gradient in each box, on its way back from the loss to the characters.",
    "explorer": "one weight: open boxes down to it, and follow its two numbers, value and gradient, to the loss.",
    "program": "how few instructions are left: thousands of multiplications have become one matrix product.",
}


def _size(model: GPT) -> int:
    """How many parameters there are, which are not counted one by one: a million takes as long as a picture."""
    return sum(math.prod(shape) for _, shape in parameter_shapes(model.config))
