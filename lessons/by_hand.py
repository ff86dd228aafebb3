"""``python -m lessons by-hand``: one training step of a transformer with two tokens, every product written out.

It is the transformer of Lesson 10 with small sizes: two numbers per vector, one head, four hidden units, a vocabulary
of three characters. Every number comes from the engine; this file gives names and sentences.
"""

from __future__ import annotations

import argparse
import html
from collections.abc import Sequence
from pathlib import Path

from tinygrad_edu import Value
from tinygrad_edu import functional as F
from viz.rendering.formats import write_as
from viz.rendering.print_pdf import pdf
from viz.stepping import document_html, document_markdown
from viz.stepping.document import Line, Section
from viz.stepping.matrices import Matrix, Step

__all__ = [
    "CHARACTERS",
    "RATE",
    "TARGETS",
    "TITLE",
    "TOKENS",
    "WEIGHTS",
    "add_by_hand",
    "as_html",
    "as_markdown",
    "forward",
    "sections",
]

TITLE = "A transformer by hand: one training step, every number"
CHARACTERS = "hi!"
#: The text is "hi!": after "h" comes "i", after "i" comes "!".
TOKENS, TARGETS = (0, 1), (1, 2)
RATE = 0.5
#: By name; row i of a weight matrix belongs to input i.
WEIGHTS: dict[str, list[list[float]]] = {
    "E": [[0.9, 0.2], [-0.3, 0.8], [0.4, -0.7]],
    "Pos": [[0.1, -0.2], [0.2, 0.3]],
    "Wq": [[0.8, -0.4], [0.3, 0.9]],
    "Wk": [[0.6, 0.5], [-0.7, 0.4]],
    "Wv": [[0.5, -0.6], [0.9, 0.2]],
    "Wo": [[0.7, 0.3], [-0.2, 0.8]],
    "Wu": [[0.6, -0.5, 0.3, -0.9], [0.2, 0.7, -0.8, 0.4]],
    "Wd": [[0.5, -0.3], [0.4, 0.6], [-0.6, 0.2], [0.1, 0.7]],
}
#: For each matrix: title, formula, what it is for, formula of the gradient, what is said about that.
_TEXTS: dict[str, tuple[str, str, str, str, str]] = {
    "E": ("Vectors of the characters", "", "A row for each character. At the end the scores are made with them, too.",
          "dE", "h and i get two contributions: from the input (dX) and from the scores (dF). ! gets only the second."),
    "Pos": ("Vectors of the positions", "", "A row for each position.", "dPos = dX", ""),
    "Wq": ("Weights of the queries", "", "", "dWq = NXᵀ · dQ", ""),
    "Wk": ("Weights of the keys", "", "", "dWk = NXᵀ · dK", ""),
    "Wv": ("Weights of the values", "", "", "dWv = NXᵀ · dV", ""),
    "Wo": ("Weights of the attention's output", "", "", "dWo = Mᵀ · dO", ""),
    "Wu": ("Weights of the MLP, up", "", "From 2 numbers to 4.", "dWu = NYᵀ · dU", ""),
    "Wd": ("Weights of the MLP, down", "", "From 4 numbers to 2.", "dWd = Gᵀ · dD", ""),
    "X": ("Input", "X = the rows h and i of E + Pos", "A vector for what stands there, plus a vector for where.",
          "dX", "Two ways lead back to X: the residual connection (dY) and the norm (dNX, dmX)."),
    "mX": ("Mean square of X", "mX = mean of X ⊙ X in each row, + 0.00001",
           "The 0.00001 keeps a row of zeros from a division by zero.", "dmX = −0.5 · mX ^(−1.5) ⊙ dsX", ""),
    "sX": ("Scale of X", "sX = 1 / √ mX", "", "dsX = sum of dNX ⊙ X in each row", ""),
    "NX": ("Norm of X", "NX = X ⊙ sX", "Every row gets the same size: the mean of its squares is 1.",
           "dNX = dQ · Wqᵀ + dK · Wkᵀ + dV · Wvᵀ", "Three contributions for each number: it was used for Q, K and V."),
    "Q": ("Queries", "Q = NX · Wq", "What each position looks for.", "dQ = dS · K · 0.7071", ""),
    "K": ("Keys", "K = NX · Wk", "What each position can be found by.", "dK = dSᵀ · Q · 0.7071", ""),
    "V": ("Values", "V = NX · Wv", "What each position hands over when it is found.", "dV = Aᵀ · dM", ""),
    "S": ("Scores", "S = Q · Kᵀ · 0.7071", "How well a query fits a key. 0.7071 is 1/√2, for two numbers per vector. "
          "Row h may not look ahead to i: that score is masked (–).", "dS = de ⊙ e", ""),
    "e": ("Exponentials of the scores", "e = exp of S", "", "de = dA / z + dz",
          "Each exponential is in its own weight, and in the sum of its row."),
    "z": ("Sum of each row", "z = sum of e in each row", "h sees only itself: 0 is added for i.",
          "dz = − sum of dA ⊙ e in each row / z ²", ""),
    "A": ("Weights of the attention", "A = e / z", "Softmax: positive numbers, with the sum 1 in each row. Row i says "
          "how much i takes from h, and how much from itself.", "dA = dM · Vᵀ", ""),
    "M": ("Mix of the values", "M = A · V", "Each position takes from each value as much as its weights say.",
          "dM = dO · Woᵀ", ""),
    "O": ("Output of the attention", "O = M · Wo", "", "dO = dY", ""),
    "Y": ("Residual connection", "Y = X + O", "The attention adds to what was there.",
          "dY", "Two ways lead back to Y: the residual connection (dR) and the norm (dNY, dmY)."),
    "mY": ("Mean square of Y", "mY = mean of Y ⊙ Y in each row, + 0.00001", "",
           "dmY = −0.5 · mY ^(−1.5) ⊙ dsY", ""),
    "sY": ("Scale of Y", "sY = 1 / √ mY", "", "dsY = sum of dNY ⊙ Y in each row", ""),
    "NY": ("Norm of Y", "NY = Y ⊙ sY", "", "dNY = dU · Wuᵀ", ""),
    "U": ("MLP, up", "U = NY · Wu", "Four hidden units, for each position on its own.", "dU = dG ⊙ [U > 0]",
          "[U > 0] is 1 where U is positive, else 0: where ReLU gave 0, the gradient stops."),
    "G": ("Activation", "G = ReLU of U", "ReLU: negative numbers become 0.", "dG = dD · Wdᵀ", ""),
    "D": ("MLP, down", "D = G · Wd", "", "dD = dR", ""),
    "R": ("Second residual connection", "R = Y + D", "", "dR", "Through the last norm: dNR and dmR."),
    "mR": ("Mean square of R", "mR = mean of R ⊙ R in each row, + 0.00001", "",
           "dmR = −0.5 · mR ^(−1.5) ⊙ dsR", ""),
    "sR": ("Scale of R", "sR = 1 / √ mR", "", "dsR = sum of dNR ⊙ R in each row", ""),
    "NR": ("Norm of R", "NR = R ⊙ sR", "", "dNR = dF · E", ""),
    "F": ("Scores of the characters", "F = NR · Eᵀ", "A column for each character: h, i, !. E is used a second time.",
          "dF = df ⊙ f", "The same as (P − right answer) / 2: positive where the model says too much."),
    "f": ("Exponentials of these", "f = exp of F", "", "df = dP / g + dg", ""),
    "g": ("Sum of each row of these", "g = sum of f in each row", "", "dg = − sum of dP ⊙ f in each row / g ²", ""),
    "P": ("Probabilities", "P = f / g", "What the model says: right would be i after h, and ! after i.",
          "dP", "Only the probability of the right character is in the loss; all others get 0."),
    "ℓ": ("Loss at each position", "ℓ = − sum of y · log(P) in each row, with y = 1 for the right character, else 0",
          "0 if the model were sure of the right character.", "dℓ = 0.5 · dL", ""),
    "L": ("Loss", "L = mean of ℓ", "One number that says how wrong the model is.",
          "dL = 1", "Backward begins here: L changes exactly as fast as itself."),
}  # fmt: skip
_INTRO = (
    "A language model reads two characters, h and i. After each it says how likely each character comes next. Right "
    "would be i after h, and ! after i. This is one step of its training: forward to the loss, backward to the "
    "gradients, and a small change of every weight. Every number can be checked with a pencil.",
    "Q₂₁ is the number in row 2 and column 1 of Q; row 1 belongs to h, row 2 to i. dQ₂₁ is short for ∂L/∂Q₂₁: how fast "
    "the loss L changes with Q₂₁. Between matrices, · is the matrix product and ⊙ multiplies number by number; ᵀ turns "
    "rows into columns. Numbers are computed with sixteen digits and shown with four, so your last digit may differ by "
    "one or two.",
)

_Rows = list[list[Value]]


def forward(weights: dict[str, list[list[float]]]) -> tuple[list[Matrix], Value]:
    """Compute the loss; returns every matrix on the way, in order, and the loss."""
    made: list[Matrix] = []

    def keep(name: str, rows: Sequence[Sequence[Value | None]]) -> None:
        title, formula, words, backward, more = _TEXTS[name]
        heads = CHARACTERS if name == "E" else [CHARACTERS[token] for token in TOKENS]
        is_row = name == "E" or (formula and len(rows) == len(TOKENS))
        made.append(Matrix(name, rows, title, formula, backward, words, more, heads if is_row else ()))

    w = {name: [[Value(x) for x in row] for row in rows] for name, rows in weights.items()}
    for name, rows in w.items():
        keep(name, rows)

    def times(name: str, x: _Rows, weight: str) -> _Rows:
        rows = [[F.dot(row, column) for column in zip(*w[weight], strict=True)] for row in x]
        keep(name, rows)
        return rows

    def plus(name: str, a: _Rows, b: _Rows) -> _Rows:
        rows = [[p + q for p, q in zip(*both, strict=True)] for both in zip(a, b, strict=True)]
        keep(name, rows)
        return rows

    def norm(of: str, x: _Rows) -> _Rows:
        squares = [[F.dot(row, row) / len(row) + 1e-5] for row in x]
        keep(f"m{of}", squares)
        scales = [[square**-0.5] for [square] in squares]
        keep(f"s{of}", scales)
        rows = [[number * scale for number in row] for row, [scale] in zip(x, scales, strict=True)]
        keep(f"N{of}", rows)
        return rows

    def softmax(names: str, scores: _Rows) -> _Rows:
        wide = len(scores[-1])
        raised = [[score.exp() for score in row] for row in scores]
        keep(names[0], [_filled(row, wide) for row in raised])
        sums = [[sum(row[1:], row[0]) if len(row) == wide else row[0] + 0.0] for row in raised]
        keep(names[1], sums)
        rows = [[number / total for number in row] for row, [total] in zip(raised, sums, strict=True)]
        keep(names[2], [_filled(row, wide) for row in rows])
        return rows

    x = plus("X", [w["E"][token] for token in TOKENS], w["Pos"])
    nx = norm("X", x)
    q, k, v = times("Q", nx, "Wq"), times("K", nx, "Wk"), times("V", nx, "Wv")
    scores = [[F.dot(q[t], k[s]) * 2**-0.5 for s in range(t + 1)] for t in range(len(q))]
    keep("S", [_filled(row, len(q)) for row in scores])
    mix = [
        [F.dot(row, column) if len(row) > 1 else row[0] * column[0] for column in zip(*v[: len(row)], strict=True)]
        for row in softmax("ezA", scores)
    ]
    keep("M", mix)
    y = plus("Y", x, times("O", mix, "Wo"))
    hidden = times("U", norm("Y", y), "Wu")
    active = [[z.relu() for z in row] for row in hidden]
    keep("G", active)
    r = plus("R", y, times("D", active, "Wd"))
    logits = [[F.dot(row, vector) for vector in w["E"]] for row in norm("R", r)]
    keep("F", logits)
    chances = softmax("fgP", logits)
    right = [[float(i == target) for i in range(len(CHARACTERS))] for target in TARGETS]
    losses = [
        [-sum((p.log() * y for p, y in zip(row[1:], ys[1:], strict=True)), row[0].log() * ys[0])]
        for row, ys in zip(chances, right, strict=True)
    ]
    keep("ℓ", losses)
    loss = (losses[0][0] + losses[1][0]) * 0.5
    keep("L", [[loss]])
    return made, loss


def _filled(row: list[Value], wide: int) -> list[Value | None]:
    return [*row, *[None] * (wide - len(row))]


def sections(digits: int = 4) -> list[Section]:
    """Return the document: what is given, forward, backward, update, and the new loss."""
    matrices, loss = forward(WEIGHTS)
    step = Step(loss, matrices, digits)
    number = step.number
    given = [matrix for matrix in matrices if not matrix.formula]
    new = {m.name: [[v.data - RATE * step.gradient(v) for v in row if v is not None] for row in m.rows] for m in given}
    after, new_loss = forward(new)
    table: list[tuple[str, ...]] = [("", "before", "after"), ("loss L", number(loss.data), number(new_loss.data))]
    chances = [{name: v for v, name in m.names()} for made in (matrices, after) for m in made if m.name == "P"]
    for t, target in enumerate(TARGETS):
        name = f"P{'₁₂'[t]}{'₁₂₃'[target]}"
        about = f"{name}: {CHARACTERS[target]} after {CHARACTERS[TOKENS[t]]}"
        table.append((about, *(number(named[name].data) for named in chances)))
    count = sum(len(row) for matrix in given for row in matrix.rows)
    return [
        Section("Given", words=f"The {count} numbers that are learned. In a real model they begin at random."),
        *step.given(),
        Section("Forward", words="From the two characters to the loss."),
        *step.forward(),
        Section(
            "Backward", words="From the loss to every weight. A gradient is the sum of what comes back from each use."
        ),
        *step.backward(),
        Section("Update", words=f"Every weight moves against its gradient, with the learning rate {number(RATE)}."),
        *step.update(RATE, after),
        Section(
            "The new loss",
            words="The same forward pass with the new weights: the loss is smaller, the right characters are likelier.",
            table=table,
            lines=[Line(f"L = {number(loss.data)} before, {number(new_loss.data)} after the step")],
        ),
    ]


def as_html(home: str = "") -> str:
    """Return the page; ``home`` is the address of the course it belongs to, if any."""
    intro = "".join(f"<p>{html.escape(words)}</p>" for words in _INTRO)
    return document_html.write(TITLE, sections(), f'<p><a href="{home}">All lessons</a></p>{intro}' if home else intro)


def as_markdown() -> str:
    """Return the document as Markdown."""
    head, _, rest = document_markdown.write(TITLE, sections()).partition("\n")
    return "\n\n".join([head, *_INTRO]) + "\n" + rest


def add_by_hand(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lessons by-hand``."""
    command.set_defaults(run=_by_hand)
    command.description = (
        "One training step of a transformer with two tokens: all matrices, forward, backward and the update, with "
        "every product. Without -o it is printed here. A .pdf needs Chromium or Chrome; any browser prints the .html."
    )
    command.epilog = "example: %(prog)s -o by_hand.pdf"
    command.add_argument("-o", "--out", type=Path, metavar="FILE", help="a file that ends in .html, .md or .pdf")


def _by_hand(options: argparse.Namespace) -> None:
    if options.out is None:
        print(as_markdown())
        return
    print(f"Wrote {write_as(options.out, {'.html': as_html, '.md': as_markdown, '.pdf': lambda: pdf(as_html())})}")
