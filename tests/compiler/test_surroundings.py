"""When something that a compiled function reads besides its arguments changes, the next call is right or an error."""

from __future__ import annotations

import array
import collections
import contextvars
import functools
import random
import sys
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit, nn, optim
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Parameters, parameters
from tinygrad_edu.compiler import optim as array_optim
from tinygrad_edu.errors import CompileError

_scale = 1.0


def _scaled(x: Any) -> Any:
    return x * _scale


class _Settings:
    beta = 1.0

    def __init__(self) -> None:
        self.alpha = 1.0


def _set_scale(number: float) -> None:
    global _scale
    _scale = number


def _cases() -> dict[str, Callable[[Value], tuple[Callable[..., Any], Callable[[float], None]]]]:
    """Return a function that reads a number somewhere, and a function that changes the number."""

    def closure(w: Value) -> Any:
        beta = 1.0

        def change(number: float) -> None:
            nonlocal beta
            beta = number

        return lambda x: w * x * beta, change

    def through_a_list(w: Value) -> Any:
        numbers = [[1.0]]
        return lambda x: w * x * numbers[0][0], lambda number: numbers[0].__setitem__(0, number)

    def through_a_dictionary(w: Value) -> Any:
        numbers = {"beta": 1.0}
        return lambda x: w * x * numbers["beta"], lambda number: numbers.update(beta=number)

    def through_an_array(w: Value) -> Any:
        numbers = np.ones(3)
        return lambda x: w * x * float(numbers[1]), lambda number: numbers.__setitem__(1, number)

    def through_an_object(w: Value) -> Any:
        settings = _Settings()
        return lambda x: w * x * settings.alpha, lambda number: setattr(settings, "alpha", number)

    def through_a_class(w: Value) -> Any:
        class Own(_Settings):
            beta = 1.0

        return lambda x: w * x * Own.beta, lambda number: setattr(Own, "beta", number)

    def through_a_namespace_in_a_module(w: Value) -> Any:
        box = types.SimpleNamespace(inner=types.SimpleNamespace(beta=1.0))
        return lambda x: w * x * box.inner.beta, lambda number: setattr(box.inner, "beta", number)

    def through_a_global_of_another_function(w: Value) -> Any:
        _set_scale(1.0)
        return lambda x: w * _scaled(x), _set_scale

    def through_a_deque(w: Value) -> Any:
        numbers = collections.deque([1.0])
        return lambda x: w * x * numbers[0], lambda number: numbers.__setitem__(0, number)

    def through_an_array_of_python(w: Value) -> Any:
        numbers = array.array("d", [1.0])
        return lambda x: w * x * numbers[0], lambda number: numbers.__setitem__(0, number)

    def through_a_context_variable(w: Value) -> Any:
        number = contextvars.ContextVar("number", default=1.0)
        return lambda x: w * x * number.get(), number.set

    def through_a_weak_reference(w: Value) -> Any:
        settings = _Settings()
        reference = weakref.ref(settings)
        return lambda x: w * x * reference().alpha, lambda number: setattr(settings, "alpha", number)  # type: ignore

    def through_an_attribute_of_a_function(w: Value) -> Any:
        def scaled(x: Any) -> Any:
            return x * scaled.beta  # type: ignore[attr-defined]

        scaled.beta = 1.0  # type: ignore[attr-defined]
        return lambda x: w * scaled(x), lambda number: setattr(scaled, "beta", number)

    def through_other_defaults(w: Value) -> Any:
        def scaled(x: Any, beta: float = 1.0) -> Any:
            return x * beta

        return lambda x: w * scaled(x), lambda number: setattr(scaled, "__defaults__", (number,))

    def through_a_metaclass(w: Value) -> Any:
        class Meta(type):
            beta = 1.0

        class Own(metaclass=Meta):
            pass

        return lambda x: w * x * Own.beta, lambda number: setattr(Meta, "beta", number)

    def through_a_special_method(w: Value) -> Any:
        settings = _Settings()

        class Scale:
            def __matmul__(self, x: Any) -> Any:
                return x * settings.alpha

        scale = Scale()
        return lambda x: w * (scale @ x), lambda number: setattr(settings, "alpha", number)

    def through_a_module_in_a_module(w: Value) -> Any:
        outer, inner = types.ModuleType("own_outer"), types.ModuleType("own_outer.inner")
        outer.inner, inner.beta = inner, 1.0  # type: ignore[attr-defined]
        sys.modules["own_outer"] = outer

        def function(x: Any) -> Any:
            import own_outer  # type: ignore[import-not-found]

            return w * x * own_outer.inner.beta

        return function, lambda number: setattr(inner, "beta", number)

    def through_the_dictionary_of_globals(w: Value) -> Any:
        _set_scale(1.0)
        return lambda x: w * x * globals()["_scale"], _set_scale

    def through_an_attribute_by_its_name(w: Value) -> Any:
        module = sys.modules[__name__]
        _set_scale(1.0)
        return lambda x: w * x * getattr(module, "_scale"), _set_scale  # noqa: B009

    def through_a_cache_that_is_cleared(w: Value) -> Any:
        numbers = [1.0]

        def change(number: float) -> None:
            numbers[0] = number
            kept.cache_clear()
            kept()

        @functools.lru_cache
        def kept() -> float:
            return numbers[0]

        return lambda x: w * x * kept(), change

    def through_a_label(w: Value) -> Any:
        w.label = "1.0"
        return lambda x: w * x * float(w.label), lambda number: setattr(w, "label", str(number))

    def through_a_method(w: Value) -> Any:
        class Model:
            def __init__(self) -> None:
                self.beta = 1.0

            def __call__(self, x: Any) -> Any:
                return w * x * self.beta

        model = Model()
        return model, lambda number: setattr(model, "beta", number)

    return dict(locals())


@pytest.mark.parametrize("case", _cases().values(), ids=_cases().keys())
def test_a_number_around_the_function(case: Any) -> None:
    function, change = case(Value(2.0))
    compiled = jit(function)
    for number in (1.0, 10.0, 1.0, -3.0):
        change(number)
        assert compiled([3.0]).tolist() == [function(3.0).data] == [6.0 * number]


class _Scales:
    def scaled(self, x: Any) -> Any:
        return _scaled(x)


@pytest.mark.parametrize("kind", [Value, float, str, list, tuple, set, dict, collections.deque, bytearray, array.array])
@pytest.mark.parametrize("changed", ["attribute", "global of a method"])
def test_instances_of_classes_derived_from_built_in_ones_are_watched(kind: Any, changed: str) -> None:
    own = type("Own", (_Scales, kind), {})(*{Value: (1.0,), array.array: ("d",)}.get(kind, ()))
    own.alpha = 1.0
    _set_scale(1.0)
    w = Value(2.0)
    compiled = jit(lambda x: w * own.scaled(x) * own.alpha)
    assert compiled([1.0]).tolist() == [2.0]
    setattr(own, "alpha", 3.0) if changed == "attribute" else _set_scale(3.0)
    assert compiled([1.0]).tolist() == [6.0]


def test_numbers_in_an_array_of_a_derived_class() -> None:
    own = np.ones(2).view(type("Own", (np.ndarray,), {}))
    compiled = jit(lambda x: x * float(own[1]))
    assert compiled([2.0]).tolist() == [2.0]
    own[1] = 3.0
    assert compiled([2.0]).tolist() == [6.0]


def test_a_function_that_changes_what_it_reads_is_refused() -> None:
    w, queue = Value(2.0), [5.0, 5.0, 5.0, 1.0]
    with pytest.raises(CompileError, match="changes queue whenever it runs"):
        jit(lambda x: w * x * queue.pop(0))([1.0])

    class Warm(nn.Module):
        def __init__(self) -> None:
            self.steps = 0

        def forward(self, x: Any) -> Any:
            self.steps += 1
            return w * x * (0.5 if self.steps > 3 else 1.0)

    with pytest.raises(CompileError, match=r"changes steps whenever it runs"):
        jit(Warm())([1.0])


def test_lazy_initialization_and_results_kept_for_inspection_are_no_change() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.w = Value(2.0)

        def forward(self, x: Any) -> Any:
            self.size = 1.0
            self.last = self.w * x * self.half
            return self.last

        @functools.cached_property
        def half(self) -> float:
            return 0.5

    compiled = jit(Model())
    for _ in range(3):
        assert compiled([3.0]).tolist() == [3.0]
    assert compiled._compilations == 1


def test_unchanged_functions_compile_once_and_toggled_modes_twice() -> None:
    model = nn.Dropout(0.5, rng=1)
    w = Value(2.0)
    compiled = jit(lambda x: model([w * x])[0])
    results = set()
    for _ in range(6):
        model.train()
        results.add(float(compiled([1.0])[0]))
        model.eval()
        assert compiled([1.0]).tolist() == [2.0]
    assert results == {0.0, 4.0}
    assert compiled._compilations == 2


def test_changes_that_are_not_watched() -> None:
    beta = [1.0]
    w = Value(2.0)
    compiled = jit(lambda x: w * x * beta[0], watch=False)
    assert compiled([1.0]).tolist() == [2.0]
    beta[0] = 5.0
    assert compiled([1.0]).tolist() == [2.0]


@pytest.mark.parametrize(("watch", "runs"), [(True, 2), (False, 1)])
def test_watching_takes_a_second_run_to_compile(watch: bool, runs: int) -> None:
    seen: list[float] = []
    w = Value(2.0)

    def function(x: Value) -> Value:
        seen.append(1.0)
        return w * x

    compiled = jit(function, watch=watch)
    assert compiled([1.0]).tolist() == compiled([1.0]).tolist() == [2.0]
    assert len(seen) == runs


@pytest.mark.parametrize("watch", [True, False])
def test_a_number_that_the_function_changes_is_never_frozen_in(watch: bool) -> None:
    count = [0.0]
    w = Value(2.0)

    def function(x: Value) -> Value:
        count[0] += 1.0
        return w * x * count[0]

    with pytest.raises(CompileError):
        jit(function, watch=watch)([1.0])


def test_a_number_that_always_changes_is_named() -> None:
    step = 0
    w = Value(2.0)
    compiled = jit(lambda x: w * x * step)
    for step in range(7):
        assert compiled([1.0]).tolist() == [2.0 * step]
    step = 7
    with pytest.warns(UserWarning, match="compiled 8 times, the last time because step has changed"):
        compiled([1.0])


@pytest.mark.parametrize("many", [0, parameters.MANY])
def test_parameters_that_are_replaced(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "MANY", many)
    model = nn.Linear(2, 1, rng=1)
    compiled = jit(lambda x: model(x)[0], model, dtype="float64")
    optimizer = array_optim.SGD(compiled.parameters, lr=0.1)
    x = [[1.0, 2.0]]
    compiled.value_and_grad(x)
    optimizer.step()
    model.weight[0][1] = Value(5.0)
    model.bias = [Value(7.0)]
    assert compiled(x)[0] == pytest.approx(model(x[0])[0].data, rel=1e-15)
    compiled.value_and_grad(x)
    optimizer.step()
    assert model.weight[0][1].data == pytest.approx(5.0 - 0.1 * 2.0)
    assert model.bias[0].data == pytest.approx(7.0 - 0.1)


@pytest.mark.parametrize("many", [0, parameters.MANY])
def test_where_a_value_is_among_many(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "MANY", many)
    model, others = [Value(float(n)) for n in range(100)], [Value(float(n)) for n in range(100)]
    shuffled = random.Random(0).sample(model, 100)
    own = Parameters({"first": shuffled[:30], "second": shuffled[30:]})
    assert own.sizes == [30, 70]
    assert [own.tensor_and_place(v) for v in shuffled] == [(n >= 30, n - 30 * (n >= 30)) for n in range(100)]
    assert own.places(others) == []
    assert [own.tensor_and_place(v) for v in others[:2]] == [(parameters.LOOSE, 0), (parameters.LOOSE, 1)]
    assert own.places([model[0], others[1], others[2], others[0]]) == [shuffled.index(model[0]), 101, 100]
    shuffled[0].data = -1.0
    assert own.array[0] == -1.0
    own.array[0] = -2.0
    assert shuffled[0].data == -2.0
    twice = Parameters([model[:50], [*model[40:], model[0]]])  # some Values are in both lists
    assert len(twice) == 100
    assert sorted(twice.places(model)) == [*range(100)]


def test_a_parameter_assigned_in_the_loop_as_in_a_lecture() -> None:
    w = Value(3.0)
    compiled = jit(lambda x: w * x, [w], dtype="float64")
    assert compiled([2.0]).tolist() == [6.0]
    w = w - 1.0
    assert compiled([2.0]).tolist() == [4.0]
    w = Value(0.5)
    assert compiled([2.0]).tolist() == [1.0]


def test_more_parameters_than_before() -> None:
    model = nn.Linear(2, 1, rng=1)
    compiled = jit(lambda x: F.dot(model.weight[0], x), model)
    compiled([[1.0, 2.0]])
    model.bias.append(Value(1.0))
    with pytest.raises(CompileError, match="added or taken away"):
        compiled([[1.0, 2.0]])


def test_an_optimizer_for_fewer_parameters_is_an_error() -> None:
    w, other = Value(1.0), Value(2.0)
    compiled = jit(lambda x: w * x * other, [w])
    optimizer = array_optim.Adam(compiled.parameters)
    compiled.value_and_grad([1.0])
    with pytest.raises(CompileError, match="made for 1 parameters, now there are 2"):
        optimizer.step()


# --- the same numbers in Values and in the array --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_the_ordinary_optimizer_trains_as_with_backward(kind: str) -> None:
    ours, theirs = nn.MLP(2, [3, 1], rng=1), nn.MLP(2, [3, 1], rng=1)
    xs, ys = [[1.0, 2.0], [0.5, -1.0]], [1.0, -1.0]
    loss = jit(lambda x, y: (ours(x) - y) ** 2, ours, dtype="float64")
    a, b = getattr(optim, kind)(ours.parameters(), lr=0.1), getattr(optim, kind)(theirs.parameters(), lr=0.1)
    for _ in range(4):
        a.zero_grad()
        loss.value_and_grad(xs, ys)
        norm = optim.clip_grad_norm(a.parameters, 1.0)
        a.step()
        b.zero_grad()
        for x, y in zip(xs, ys, strict=True):
            ((theirs(x) - y) ** 2 / 2).backward()
        assert norm == pytest.approx(optim.clip_grad_norm(b.parameters, 1.0))
        b.step()
    assert [p.data for p in ours.parameters()] == pytest.approx([p.data for p in theirs.parameters()], rel=1e-12)


def test_a_loop_by_hand_trains() -> None:
    w = Value(3.0)
    loss = jit(lambda x: (w * x) ** 2, [w], dtype="float64")
    for _ in range(3):
        loss.value_and_grad([1.0])
        w.data -= 0.25 * w.grad
    assert w.data == 3.0 * 0.5**3


def test_eager_computation_uses_the_trained_numbers() -> None:
    w = Value(3.0)
    loss = jit(lambda x: w * x, [w], dtype="float64")
    optimizer = array_optim.SGD(loss.parameters, lr=1.0)
    loss.value_and_grad([1.0])
    optimizer.step()
    assert (w * 1.0).data == 2.0
    loss.value_and_grad([1.0])
    optimizer.step()
    del loss, optimizer
    assert w.data == 1.0


def test_backward_after_value_and_grad_adds() -> None:
    w = Value(3.0)
    loss = jit(lambda x: w * x, [w], dtype="float64")
    loss.value_and_grad([5.0])
    (w * 2.0).backward()
    assert w.grad == 7.0


def test_two_programs_with_separate_parameters_share_a_model() -> None:
    w = Value(3.0)
    first, second = jit(lambda x: w * x, [w], dtype="float64"), jit(lambda x: w + x, [w], dtype="float64")
    optimizer = array_optim.SGD(first.parameters, lr=1.0)
    assert second([0.0]).tolist() == [3.0]
    first.value_and_grad([1.0])
    optimizer.step()
    assert second([0.0]).tolist() == [2.0]
    other = array_optim.SGD(second.parameters, lr=0.5)
    second.value_and_grad([0.0])
    other.step()
    assert first([1.0]).tolist() == [1.5]
    first.value_and_grad([1.0])
    optimizer.step()
    assert w.data == 0.5


def test_numbers_assigned_between_steps_of_an_array_optimizer() -> None:
    w = [Value(1.0), Value(2.0)]
    loss = jit(lambda x: F.dot(w, [x, x]), w, dtype="float64")
    optimizer = array_optim.SGD(loss.parameters, lr=1.0)
    loss.value_and_grad([1.0])
    optimizer.step()
    w[0].data = 10.0
    loss.value_and_grad([1.0])
    optimizer.step()
    assert [v.data for v in w] == [9.0, 0.0]


def test_nan_in_a_parameter_is_no_endless_change() -> None:
    parameters = Parameters([Value(float("nan")), Value(1.0)])
    assert np.isnan(parameters.array[0])
    parameters.array[1] = 4.0
    assert parameters._held[1].data == 4.0


def test_no_warning_for_a_loop_that_changes_nothing() -> None:
    w = Value(1.0)
    compiled = jit(lambda x: w * x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            compiled([1.0])
    assert compiled._compilations == 1
