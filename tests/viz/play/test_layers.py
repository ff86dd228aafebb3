"""Python's random numbers, networks and optimizers in JavaScript: the same numbers after the same steps."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.viz.play.in_node import run
from tinygrad_edu import functional as F
from tinygrad_edu import optim
from tinygrad_edu.nn import MLP, Dropout

pytestmark = pytest.mark.node


@pytest.mark.parametrize("seed", [0, 1, 42, -7, 2**31, 2**32 + 5, 10**30], ids=str)
def test_random_numbers_are_python_s_bit_for_bit(seed: int) -> None:
    found = run(
        """
        const c = new Chance(BigInt(given)), list = [...Array(30).keys()], twice = f => [f(), f()];
        const first = [twice(() => c.random()), twice(() => c.getrandbits(7)), twice(() => c.getrandbits(40)),
          twice(() => c.randrange(10)), twice(() => c.randrange(5, 900)), twice(() => c.randint(1, 6)),
          twice(() => c.choice(list)), twice(() => c.uniform(-1, 1)), c.shuffle([...list]), c.sample(list, 4),
          c.sample(list, 20), c.sample([...Array(3000).keys()], 12), c.choices(list.slice(0, 3), [1, 2, 3])];
        for (let i = 0; i < 1500; i++) c.random();
        return [...first, c.random()];
        """,
        str(seed),
    )
    c, numbers = random.Random(seed), [*range(30)]

    def twice(draw: Any) -> list[Any]:
        return [draw(), draw()]

    expected = [
        twice(c.random), twice(lambda: c.getrandbits(7)), twice(lambda: c.getrandbits(40)),
        twice(lambda: c.randrange(10)), twice(lambda: c.randrange(5, 900)), twice(lambda: c.randint(1, 6)),
        twice(lambda: c.choice(numbers)), twice(lambda: c.uniform(-1, 1)),
    ]  # fmt: skip
    shuffled = [*numbers]
    c.shuffle(shuffled)
    expected += [shuffled, c.sample(numbers, 4), c.sample(numbers, 20), c.sample(range(3000), 12)]
    expected += c.choices(numbers[:3], [1, 2, 3])
    for _ in range(1500):
        c.random()
    assert found == [*expected, c.random()]


def test_normal_numbers_are_python_s() -> None:
    found = run(
        "const c = new Chance(9); const a = [1, 2, 3].map(() => c.gauss(1, 0.02)); const s = c.state();"
        "a.push(c.gauss(), c.random()); c.load(s); return [...a, c.gauss(), c.random()];"
    )
    c = random.Random(9)
    expected = [*(c.gauss(1, 0.02) for _ in range(3)), c.gauss(), c.random()]
    assert found == pytest.approx([*expected, *expected[3:]], rel=1e-15)


OPTIMIZERS = {
    "sgd": ("new SGD(t, p, 0.1)", lambda p: optim.SGD(p, 0.1)),
    "momentum": ("new SGD(t, p, 0.05, { momentum: 0.9 })", lambda p: optim.SGD(p, 0.05, momentum=0.9)),
    "adam": ("new Adam(t, p, 0.05)", lambda p: optim.Adam(p, 0.05)),
    "adamw": (
        "new AdamW(t, p, 0.05, { weightDecay: 0.1, noDecay: [p[2]] })",
        lambda p: optim.AdamW(p, 0.05, weight_decay=0.1, no_decay=[p[2]]),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("p", [0.0, 0.25])
def test_fifty_steps_of_a_network_are_python_s(name: str, p: float) -> None:
    rng = random.Random(4)
    points = [[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(5)]
    script, make = OPTIMIZERS[name]
    found = run(
        f"""
        const [points, p0] = given, t = new Tape(2), model = new MLP(t, 2, [4, 3, 1], {{ chance: new Chance(7) }});
        const p = model.parameters(), drop = new Dropout(t, p0, new Chance(8)), optimizer = {script}, losses = [];
        const out = points.map(([x, y]) => model.forward([t.number(x), t.number(y)], h => drop.forward(h))[0]);
        const loss = t.mse(out, points.map(([x, y]) => t.number(x * y)));
        for (let step = 0; step < 50; step++) {{
          if (step) {{ drop.draw(); t.forward(); }}
          t.backward(loss);
          losses.push(t.data[loss], clipGradNorm(t, p, 0.5));
          optimizer.lr = warmupCosine(step, {{ lr: 0.05, totalSteps: 50, warmupSteps: 5, minLr: 0.001 }});
          optimizer.step();
        }}
        return [losses, p.map(x => t.data[x])];
        """,
        [points, p],
    )
    model, drop, losses = MLP(2, [4, 3, 1], rng=7), Dropout(p, rng=8), []
    optimizer = make(model.parameters())
    for step in range(50):
        optimizer.zero_grad()
        out = []
        for x in points:
            hidden: Any = x
            for layer in model.layers[:-1]:
                hidden = drop(layer(hidden))
            out += model.layers[-1](hidden)
        loss = F.mse(out, [x * y for x, y in points])
        loss.backward()
        losses += [loss.data, optim.clip_grad_norm(model.parameters(), 0.5)]
        optimizer.lr = optim.warmup_cosine(step, lr=0.05, total_steps=50, warmup_steps=5, min_lr=0.001)
        optimizer.step()
    assert found[0] == pytest.approx(losses, rel=1e-12, abs=1e-12)
    assert found[1] == pytest.approx([v.data for v in model.parameters()], rel=1e-12, abs=1e-12)


def test_schedules_are_python_s() -> None:
    given = {"lr": 1.0, "totalSteps": 5, "warmupSteps": 2, "minLr": 0.1}
    found = run("[0,1,2,3,4,5,6].flatMap(s => [warmupCosine(s, given), warmupLinear(s, given)])", given)
    named = {"lr": 1.0, "total_steps": 5, "warmup_steps": 2, "min_lr": 0.1}
    expected = [f(s, **named) for s in range(7) for f in (optim.warmup_cosine, optim.warmup_linear)]
    assert found == pytest.approx(expected, rel=1e-15)
