"""A graph is freed by reference counting the moment it is dropped: no cycles, no leak, whatever its depth."""

import gc
import sys
import weakref

import pytest

from tinygrad_edu import Value, gradcheck, nn, no_grad, optim, record_calls
from tinygrad_edu import functional as F


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def loss_of(model, rng_input=0.3):
    x = [Value(rng_input), Value(-0.2), Value(0.9)]
    hidden = F.layer_norm(model(x))
    return F.cross_entropy([h.gelu() for h in hidden], 1) + F.mse(F.softmax(hidden), [0.1, 0.2, 0.7])


def live_values():
    return sum(type(thing) is Value for thing in gc.get_objects())


@pytest.mark.parametrize("depth", [1, 1000, 1_000_000])
@pytest.mark.usefixtures("no_collector")
def test_a_dropped_graph_is_gone_at_once(depth):
    x = Value(1.0)
    first = middle = x * 1.0
    for _ in range(depth):
        middle = middle + x
    first, last = weakref.ref(first), middle
    last.backward()
    assert x.grad == depth + 1.0
    assert first() is not None
    del middle, last
    assert first() is None


@pytest.mark.usefixtures("no_collector")
def test_building_differentiating_and_dropping_leaves_nothing_to_collect():
    model = nn.MLP(3, [4, 4, 3], rng=0)
    loss = loss_of(model)
    loss.backward()
    del loss
    with record_calls() as record:
        loss = loss_of(model)
    assert len(record.calls) == 1
    del record, loss
    with no_grad():
        loss_of(model)
    gradcheck(lambda a, b: (a * b).tanh(), [0.1, 0.2])
    sum(F.attend([Value(0.1)], [[Value(0.2)]], [[Value(0.3)]])).backward()
    del model
    assert gc.collect() == 0


@pytest.mark.usefixtures("no_collector")
def test_the_check_above_can_fail():
    x = Value(1.0)
    y = x * x
    y.inputs = (x, y)  # a cycle, as a closure over its own output would be
    del x, y
    assert gc.collect() > 0


@pytest.mark.usefixtures("no_collector")
def test_memory_is_flat_over_two_hundred_training_steps():
    before = live_values()
    model = nn.MLP(3, [8, 3], rng=0)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)

    def steps(n):
        for _ in range(n):
            loss = loss_of(model)
            optimizer.zero_grad()
            loss.backward()
            optim.clip_grad_norm(optimizer.parameters, 1.0)
            optimizer.step()

    steps(10)  # fill caches, free lists and the optimizer's state
    values, blocks = live_values(), sys.getallocatedblocks()
    steps(200)
    assert live_values() == values == before + len(model.parameters())
    one_graph = 3 * 200  # the least that keeping a single step alive would cost, in blocks
    assert sys.getallocatedblocks() - blocks < one_graph
