"""The walk-through: every number of a training step is in the text, and every line is arithmetically true."""

import html
import math
import re

import pytest

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.nn import MLP, Neuron
from tinygrad_edu.step_log import Chain, Forward
from viz.errors import DrawingError, UnknownFormatError
from viz.style import number

DIGITS = 12


def lines_of(document):
    """Return every line of mathematics in the page, as a reader sees it."""
    text = document.html()
    return [html.unescape(line) for line in re.findall(r"<(?:p|summary)>(.*?)</(?:p|summary)>", text)]


FUNCTIONS = {
    "σ": lambda a: 1 / (1 + math.exp(-a)),
    "GELU": lambda a: a * (1 + math.erf(a / math.sqrt(2))) / 2,
    **{name: getattr(math, name) for name in ("exp", "log", "sqrt", "tanh")},
    "max": lambda *numbers: max(numbers),
}


def calculated(text):
    """Compute a formula with numbers, independently of the library."""
    text = text.replace("−", "-").replace("·", "*").replace("^", "**")
    assert re.fullmatch(r"[-+*/()., 0-9eσGELUexplogsqrtanhm]+", text), text
    return eval(text, {"__builtins__": {}}, FUNCTIONS)


def check_every_line(document):
    """Recompute every line from its own text; returns how often each kind occurred, and the updated numbers."""
    counts = dict.fromkeys(("forward", "chain", "sum", "update"), 0)
    updated, values, gradients = {}, {}, {}
    for line in lines_of(document):
        line = re.sub(r", sent on to .*", "", line)
        left, last = line.split(" = ")[0], line.split(" = ")[-1]
        if " ← " in line:
            name, numbers = left.split(" ← ")
            assert calculated(numbers) == pytest.approx(calculated(last), rel=1e-10, abs=1e-12), line
            updated[name] = calculated(last)
            counts["update"] += 1
        elif " before" in line or "are not used" in line:
            continue
        elif " += " in line:
            product = line.split(" = ")[-2]
            assert calculated(product) == pytest.approx(calculated(last), rel=1e-10, abs=1e-12), line
            counts["chain"] += 1
        elif line.startswith("∂"):
            terms = line.split(" = ")[1]
            assert calculated(terms) == pytest.approx(calculated(last), rel=1e-9, abs=1e-11), line
            gradients[left] = calculated(last)
            counts["sum"] += 1
        else:
            numbers = line.split(" = ")[-2] if line.count(" = ") > 1 else last
            found = values[numbers] if numbers in values else calculated(numbers)  # detach(): v5 = v4 = 3
            assert found == pytest.approx(calculated(last), rel=1e-10, abs=1e-11), line
            values.setdefault(left, calculated(last))
            counts["forward"] += 1
    return counts, updated, values, gradients


def check_complete(document, parameters):
    """Check that every value, gradient, multiplication and update of the step is in the document."""
    log = document.log
    counts, updated, values, gradients = check_every_line(document)
    assert counts["chain"] == sum(isinstance(step, Chain) for step in log.steps)
    for step in log.steps:
        if isinstance(step, Forward):
            assert values[log.nodes[step.node].name] == pytest.approx(step.value, rel=1e-10)
    for i, node in enumerate(log.nodes):
        if node.is_leaf:
            assert gradients[log.gradient_name(i)] == pytest.approx(log.gradients[i], rel=1e-10)
    assert counts["update"] == len(updated) == parameters
    sentences = set(lines_of(document))
    for step in log.steps:
        if isinstance(step, (Forward, Chain)):
            assert log.sentence(step, lambda x: number(x, DIGITS)) in sentences
    return updated


def mazur():
    model = MLP(2, [2, 2], "sigmoid", last_activation="sigmoid")
    numbers = [[[0.15, 0.20], [0.25, 0.30]], [[0.40, 0.45], [0.50, 0.55]]]
    for layer, rows, bias in zip(model.layers, numbers, (0.35, 0.60), strict=True):
        for neuron, row in zip(layer.neurons, rows, strict=True):
            neuron.b.data = bias
            for weight, x in zip(neuron.w, row, strict=True):
                weight.data = x
    return model, [w for layer in model.layers for neuron in layer.neurons for w in neuron.w]


def half_squares(outputs, targets):
    return sum((t - o) ** 2 for t, o in zip(targets, outputs, strict=True)) * 0.5


def test_mazur_s_network():
    model, weights = mazur()
    document = viz.walkthrough(
        model, [0.05, 0.10], [0.01, 0.99], loss=half_squares, lr=0.5, parameters=weights, digits=DIGITS
    )
    updated = check_complete(document, 8)
    assert [round(x, 9) for x in updated.values()] == [
        0.149780716, 0.199561432, 0.249751144, 0.299502287, 0.358916480, 0.408666186, 0.511301270, 0.561370121,
    ]  # fmt: skip
    text = "\n".join(lines_of(document))
    for published in ("0.593269992", "0.596884378", "0.751365069", "0.772928465", "0.298371108", "0.2910277"):
        assert published in text
    assert [w.data for w in weights] == [0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55]  # the model is unchanged
    assert all(w.grad is NO_GRADIENT_YET for w in weights)


def test_a_transformer_of_two_tokens():
    model = GPT(GPTConfig(vocab_size=5, block_size=2, n_layer=1, n_head=2, n_embd=4), seed=1)
    document = viz.walkthrough(model, [0, 3], [3, 1], lr=0.1, digits=DIGITS)
    log = document.log
    used = sum(node.is_leaf for node in log.nodes)
    check_complete(document, used)
    titles = [section.title for section in document.sections]
    assert "transformer.h.0.attn.head (AttentionHead), call 2 of 2" in titles
    assert "lm_head (Linear), call 1 of 2" in titles
    assert any("parameters are not used in this step" in line for line in lines_of(document)) == (
        used < len(model.parameters())
    )
    defined = {node.name for node in log.nodes if not node.inputs}
    for section in document.sections[2 : titles.index("Backward")]:  # forward: nothing is used before it is computed
        for line in section.lines:
            for text in line.inside or (line.text,):
                name, formula = text.split(" = ")[:2]
                assert set(re.findall(r"\bv\d+\b", formula)) <= defined, text
                defined.add(name)


def test_a_neuron_and_the_losses_that_are_chosen():
    neuron = Neuron(2, rng=1)
    document = viz.walkthrough(neuron, [1.0, -2.0], 0.5, digits=DIGITS)
    check_complete(document, 3)
    classes = viz.walkthrough(MLP(2, [3], rng=2), [0.3, 0.4], 1, digits=DIGITS)
    check_complete(classes, 9)
    assert any(" = log(" in line for line in lines_of(classes))
    assert "after = " in lines_of(document)[-1]


def test_sums_expand_into_their_steps():
    document = viz.walkthrough(Neuron(3, rng=1), [1.0, 2.0, 3.0], 0.0)
    opened = [line for section in document.sections for line in section.lines if line.inside]
    assert opened[0].text.startswith("v6 = w[0] · 1 + w[1] · 2 + w[2] · 3 + b = ")
    assert len(opened[0].inside) == 6
    assert document.html().count("<details>") == len(opened)
    assert document.markdown().count("<details>") == len(opened)


def test_files(tmp_path):
    document = viz.walkthrough(Neuron(1, rng=1), [1.0], 0.0)
    for name in ("step.html", "step.md"):
        assert document.save(tmp_path / name) == str(tmp_path / name)
    assert "w\\[0\\]" in (tmp_path / "step.md").read_text(encoding="utf-8")
    assert "http" not in (tmp_path / "step.html").read_text(encoding="utf-8").replace("http-equiv", "")
    assert document.html() == viz.walkthrough(Neuron(1, rng=1), [1.0], 0.0).html()
    with pytest.raises(UnknownFormatError, match=r"must end in one of \.html, \.md, \.tex$"):
        document.save(tmp_path / "step.pdf")


def test_latex(tmp_path):
    model, _ = mazur()
    document = viz.walkthrough(model, [0.05, 0.10], [0.01, 0.99], loss=half_squares, lr=0.5, digits=9)
    assert document.save(tmp_path / "step.tex") == str(tmp_path / "step.tex")
    text = (tmp_path / "step.tex").read_text(encoding="utf-8")
    assert text.isascii()
    assert text.startswith("\\documentclass")
    assert text.endswith("\\end{document}\n")
    formulas = re.findall(r"\$(.*?)\$", text)
    assert len(formulas) == text.count("\\noindent") == text.count("$") / 2
    products = 0
    for formula in formulas:
        plain = formula.replace(r"\{", "").replace(r"\}", "")
        assert plain.count("{") == plain.count("}")
        assert re.findall(r"(?<!\\)[#%&~]", plain) == []
        if "+=" in formula:
            numbers = re.sub(r"10\^\{(-?\d+)\}", r"10**\1", formula).replace(r"\cdot", "*").split(" = ")
            assert eval(numbers[1]) == pytest.approx(eval(numbers[2]), rel=1e-7)
            products += 1
    assert products == sum(isinstance(step, Chain) for step in document.log.steps)
    assert r"v_{5} = \sigma (v_{4}) = \sigma (0.3775) = 0.593269992" in text
    assert r"\text{layers.0.neurons.0.w[0]}" in text


def test_hostile_names_are_text():
    class Model:
        def __init__(self):
            self.w = Value(2.0, "<script>alert(1)</script>")

        def __call__(self, x):
            return self.w * x

        def parameters(self):
            return [self.w]

    document = viz.walkthrough(Model(), 3.0, 1.0)
    assert "<script>alert" not in document.html()
    assert "<script>" not in document.markdown()


def test_a_model_that_is_too_large():
    with pytest.raises(DrawingError, match="a document shows at most 20,000; take a smaller model"):
        viz.walkthrough(Neuron(6000), [1.0] * 6000, 0.0)
