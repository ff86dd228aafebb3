"""Module calls are announced in one place: what a listener receives, and that calls cost nothing extra without one."""

import contextlib
import random

import pytest

from tinygrad_edu import Value, calls, nn, record_calls
from tinygrad_edu.calls import listening
from tinygrad_edu.errors import DomainError
from tinygrad_edu.nested import values_in


class Block(nn.Module):
    def __init__(self, rng):
        self.fc = nn.Linear(2, 2, rng=rng)

    def forward(self, x, scale=None):
        out = self.fc(x)
        return [v * scale for v in out] if scale is not None else out


class Model(nn.Module):
    def __init__(self):
        rng = random.Random(0)
        self.h = [Block(rng), Block(rng)]
        self.head = nn.Linear(2, 1, bias=False, rng=rng)

    def forward(self, x):
        for block in self.h:
            x = block(x, scale=Value(0.5))
        loose = nn.Activation("tanh")  # created inside forward: no attribute refers to it
        return self.head(loose(x))


def test_recorded_calls_of_a_model():
    model = Model()
    x = [Value(1.0), Value(2.0)]
    with record_calls() as record:
        out = model(x)
    assert [(call.path, call.kind) for top in record.calls for call in top.walk()] == [
        ("", "Model"), ("h.0", "Block"), ("h.0.fc", "Linear"), ("h.1", "Block"), ("h.1.fc", "Linear"),
        ("Activation", "Activation"), ("head", "Linear"),
    ]  # fmt: skip
    (top,) = record.calls
    assert top.inputs == tuple(x)
    assert top.outputs == tuple(out)
    first = top.children[0]
    assert first.inputs[:2] == tuple(x)
    assert first.inputs[2].data == 0.5, "keyword arguments are inputs too"
    assert first.children[0].outputs == tuple(v.inputs[0] for v in first.outputs)
    assert record.names == {value: name for name, value in model.named_scalars()}


def test_without_a_listener_nothing_is_recorded():
    model = Model()
    with record_calls() as record:
        pass
    model([Value(1.0), Value(2.0)])
    assert record.calls == []
    assert calls._hook.get() is None


def test_recording_does_not_change_the_numbers():
    model, x = Model(), [Value(1.0), Value(2.0)]
    plain = model(x)[0].data
    with record_calls():
        recorded = model(x)[0].data
    assert recorded == plain


def test_a_listener_may_replace_the_result_of_a_module():
    heard = []

    def hook(module, args, kwargs):
        heard.append((type(module).__name__, args, kwargs))
        return "an answer"

    with listening(hook):
        assert Block(random.Random(0))([1], scale=2) == "an answer"
    assert heard == [("Block", ([1],), {"scale": 2})]


def test_only_the_innermost_listener_is_notified_and_the_outer_one_is_restored():
    model, x = nn.Linear(2, 1), [Value(1.0), Value(2.0)]
    with record_calls() as outer:
        with record_calls() as inner:
            model(x)
        model(x)
    assert (len(outer.calls), len(inner.calls)) == (1, 1)


def test_an_exception_leaves_no_listener_and_no_open_call():
    model = Model()
    with record_calls() as record:
        with pytest.raises(ValueError, match="expected a vector of 2 numbers, got 3"):
            model([Value(1.0)] * 3)
        model([Value(1.0), Value(2.0)])
    assert [call.path for call in record.calls] == ["", ""]
    assert record.calls[0].outputs == ()
    with pytest.raises(ValueError, match="expected a vector of 2 numbers, got 3"), record_calls():
        model([Value(1.0)] * 3)
    assert calls._hook.get() is None


def test_values_in_nested_containers():
    a, b, c = Value(1.0), Value(2.0), Value(3.0)
    assert values_in({"x": [a, (b, "text", 4.0)], "y": None, "z": {"w": c}}) == [a, b, c]
    assert values_in(a) == [a]
    assert values_in(3.0) == []


class Surprise(nn.Module):
    def forward(self, p):
        return -p.log()


class Scorer(nn.Module):
    def __init__(self):
        self.h = [Surprise(), Surprise()]

    def forward(self, p):
        return self.h[1](p)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_domain_error_names_the_module(recorded):
    class Model(nn.Module):
        def __init__(self):
            self.loss = Scorer()

        def forward(self, p):
            return self.loss(p)

    model = Model()
    with pytest.raises(DomainError) as caught, record_calls() if recorded else contextlib.nullcontext():
        model(Value(0.0))
    assert caught.value.__notes__ == ["in the module loss.h.1 (Surprise)"]


def test_a_module_that_cannot_be_reached_by_attributes_is_named_by_its_class():
    class Model(nn.Module):
        def forward(self, p):
            return Surprise()(p)

    with pytest.raises(DomainError) as caught:
        Model()(Value(0.0))
    assert caught.value.__notes__ == ["in the module (Surprise)"]


def test_existing_notes_of_an_error_are_kept():
    class Model(nn.Module):
        def __init__(self):
            self.inner = Surprise()

        def forward(self, p):
            try:
                return self.inner(p)
            except DomainError as error:
                error.add_note("mind the zero")
                raise

    with pytest.raises(DomainError) as caught:
        Model()(Value(0.0))
    assert caught.value.__notes__ == ["mind the zero", "in the module inner (Surprise)"]
