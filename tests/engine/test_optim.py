"""Optimizers and schedules: against steps worked by hand, against PyTorch, and resumed bit for bit."""

import itertools
import json
import math

import pytest

from tinygrad_edu import Value, nn, optim
from tinygrad_edu import functional as F
from tinygrad_edu.errors import StateDictError

KINDS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.03, betas=(0.8, 0.95), eps=1e-6),
    "AdamW": lambda p: optim.AdamW(p, lr=0.03, weight_decay=0.2),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def with_gradient(data, grad):
    p = Value(data)
    p.grad = grad
    return p


# --- by hand --------------------------------------------------------------------------------------------------------


def test_sgd_by_hand():
    p = with_gradient(1.0, 0.5)
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.step()
    assert p.data == pytest.approx(0.95)


def test_momentum_by_hand():
    p = with_gradient(1.0, 0.5)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    optimizer.step()  # v = 0.5
    assert p.data == pytest.approx(0.95)
    p.grad = -0.2
    optimizer.step()  # v = 0.45 − 0.2 = 0.25
    assert p.data == pytest.approx(0.925)
    assert optimizer.velocity == pytest.approx([0.25])


def test_adam_by_hand():
    p = with_gradient(1.0, 0.5)
    optimizer = optim.Adam([p], lr=0.1)
    optimizer.step()  # m = .05, v = .00025; corrected .5 and .25: a step of lr · .5 / (.5 + eps)
    assert p.data == pytest.approx(1.0 - 0.1 * 0.5 / (0.5 + 1e-8), rel=1e-14)
    p.grad = -1.0
    optimizer.step()  # m = .045 − .1 = −.055, v = .00024975 + .001 = .00124975
    corrected_m, corrected_v = -0.055 / (1 - 0.9**2), 0.00124975 / (1 - 0.999**2)
    assert p.data == pytest.approx(0.900000002 - 0.1 * corrected_m / (math.sqrt(corrected_v) + 1e-8), rel=1e-9)


def test_adamw_by_hand():
    decays, stays = with_gradient(1.0, 0.5), with_gradient(1.0, 0.5)
    optim.AdamW([decays, stays], lr=0.1, weight_decay=0.01, no_decay=[stays]).step()
    assert decays.data == pytest.approx(1.0 * (1 - 0.1 * 0.01) - 0.1 * 0.5 / (0.5 + 1e-8), rel=1e-14)
    assert stays.data == pytest.approx(1.0 - 0.1 * 0.5 / (0.5 + 1e-8), rel=1e-14)


def test_weight_decay_is_not_in_the_gradient():
    p = with_gradient(2.0, 0.0)
    optimizer = optim.AdamW([p], lr=0.5, weight_decay=0.1)
    optimizer.step()
    assert p.data == 2.0 * 0.95
    assert optimizer.m == [0.0]


def test_a_parameter_given_twice_moves_once():
    p = with_gradient(1.0, 1.0)
    optim.SGD([p, p], lr=0.1).step()
    assert p.data == 0.9


@every_kind
def test_every_optimizer_finds_a_minimum(kind):
    w, b = Value(0.0), Value(0.0)
    optimizer = KINDS[kind]([w, b])
    points = [(-1.0, -1.0), (0.0, 1.0), (1.0, 3.0)]
    first = None
    for _ in range(400):
        loss = F.mse([w * x + b for x, _ in points], [y for _, y in points])
        first = first or loss.data
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert first == pytest.approx(11 / 3)
    assert loss.data < (0.03 if kind == "AdamW" else 1e-4)  # decay holds the weights a little off the minimum


def test_zero_grad():
    p = with_gradient(1.0, 0.5)
    optim.SGD([p], lr=0.1).zero_grad()
    assert p.grad == 0.0
    assert repr(p) == "Value(data=1.0)"


# --- clipping -------------------------------------------------------------------------------------------------------


def test_clip_scales_all_gradients_together():
    ps = [with_gradient(0.0, 3.0), with_gradient(0.0, 4.0)]
    assert optim.clip_grad_norm(ps, 10.0) == 5.0
    assert [p.grad for p in ps] == [3.0, 4.0]
    assert optim.clip_grad_norm(iter(ps), 1.0) == 5.0
    assert [p.grad for p in ps] == pytest.approx([0.6, 0.8])
    assert optim.clip_grad_norm(ps, math.inf) == pytest.approx(1.0)
    assert optim.clip_grad_norm([], 1.0) == 0.0


def test_clip_survives_squares_that_overflow():
    ps = [with_gradient(0.0, 3e200), with_gradient(0.0, -4e200)]
    assert optim.clip_grad_norm(ps, 1.0) == pytest.approx(5e200)
    assert [p.grad for p in ps] == pytest.approx([0.6, -0.8])


@pytest.mark.parametrize("limit", [-1.0, math.nan])
def test_invalid_clipping_limits(limit):
    with pytest.raises(ValueError, match=r"max_norm must be at least 0\.0, got"):
        optim.clip_grad_norm([with_gradient(0.0, 1.0)], limit)


# --- schedules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [optim.warmup_cosine, optim.warmup_linear])
def test_a_schedule_rises_to_the_peak_and_falls_to_the_floor(schedule):
    rates = [schedule(s, lr=2.0, total_steps=30, warmup_steps=9, min_lr=0.5) for s in range(40)]
    assert rates[:10] == pytest.approx([0.2 * (s + 1) for s in range(10)])
    assert all(a > b for a, b in itertools.pairwise(rates[9:31]))
    assert rates[30:] == pytest.approx([0.5] * 10)


def test_schedules_by_hand():
    assert optim.warmup_cosine(15, lr=1.0, total_steps=30) == pytest.approx(0.5)
    assert optim.warmup_cosine(10, lr=1.0, total_steps=30, min_lr=0.2) == pytest.approx(0.2 + 0.8 * 0.75)
    assert optim.warmup_linear(10, lr=1.0, total_steps=40, min_lr=0.2) == pytest.approx(0.8)
    assert optim.warmup_linear(0, lr=1.0, total_steps=1) == 1.0
    assert optim.warmup_cosine(5, lr=1.0, total_steps=5, warmup_steps=5) == 1.0  # all warm-up: no descent to divide by


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD(p, lr=-0.1), r"lr must be at least 0\.0, got -0\.1"),
        (lambda p: optim.SGD(p, lr=math.nan), r"lr must be at least 0\.0, got nan"),
        (lambda p: optim.SGD(p, lr=0.1, momentum=1.0), r"momentum must be at least 0\.0 and below 1\.0, got 1\.0"),
        (lambda p: optim.Adam(p, betas=(1.0, 0.9)), r"beta1 must be at least 0\.0 and below 1\.0, got 1\.0"),
        (lambda p: optim.Adam(p, betas=(0.9, -0.9)), r"beta2 must be .* got -0\.9"),
        (lambda p: optim.Adam(p, eps=-1e-8), r"eps must be at least 0\.0, got -1e-08"),
        (lambda p: optim.AdamW(p, weight_decay=-1), r"weight_decay must be at least 0\.0, got -1"),
        (lambda p: optim.SGD([], lr=0.1), r"got no parameters; pass model\.parameters\(\)"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make([Value(1.0)])


def test_the_lowest_settings_are_allowed():
    p = with_gradient(1.0, 0.5)
    optimizer = optim.AdamW([p], lr=0.0, betas=(0.0, 0.0), eps=0.0, weight_decay=0.0)
    optimizer.step()
    assert p.data == 1.0
    optimizer.lr = 0.25
    optimizer.step()  # without memory, Adam is a step of lr in the direction of the sign
    assert p.data == 0.75


def test_without_eps_a_parameter_without_a_gradient_only_decays():
    still, moved = with_gradient(2.0, 0.0), with_gradient(3.0, -0.5)
    optimizer = optim.AdamW([still, moved], lr=0.25, eps=0.0, weight_decay=0.5)
    optimizer.step()
    assert (still.data, moved.data) == (2.0 * 0.875, pytest.approx(3.0 * 0.875 + 0.25, rel=1e-15))


def test_non_parameters_are_refused():
    for wrong, name in (([1.0], "float"), ([[Value(1.0)]], "list"), (["w"], "str")):
        with pytest.raises(TypeError, match=rf"moves Values, got {name}; pass model\.parameters\(\)"):
            optim.Adam(wrong)


def test_a_state_of_another_optimizer_or_size_is_refused():
    two, three = [Value(1.0) for _ in range(2)], [Value(1.0) for _ in range(3)]
    adam = optim.Adam(two)
    with pytest.raises(StateDictError, match=r"not the state of Adam: expected m, steps, v; got steps, velocity"):
        adam.load_state_dict(optim.SGD(two, lr=0.1).state_dict())
    with pytest.raises(StateDictError, match=r"m: expected 2 numbers, got 3"):
        adam.load_state_dict(optim.Adam(three).state_dict())
    with pytest.raises(StateDictError, match=r"got nothing"):
        adam.load_state_dict({})
    assert adam.state_dict() == {"steps": 0, "m": [0.0, 0.0], "v": [0.0, 0.0]}


# --- resuming ---------------------------------------------------------------------------------------------------------


def train(model, optimizer, steps):
    for step in steps:
        optimizer.lr = optim.warmup_cosine(step, lr=0.05, total_steps=20, warmup_steps=4)
        x = [math.sin(step), math.cos(3 * step)]
        loss = F.cross_entropy(model(x), step % 3)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm(optimizer.parameters, 0.5)
        optimizer.step()


@every_kind
def test_resumed_is_uninterrupted_bit_for_bit(kind):
    straight = nn.MLP(2, [4, 3], rng=1)
    train(straight, KINDS[kind](straight.parameters()), range(20))

    model = nn.MLP(2, [4, 3], rng=1)
    optimizer = KINDS[kind](model.parameters())
    train(model, optimizer, range(9))
    saved = json.loads(json.dumps({"model": model.state_dict(), "optimizer": optimizer.state_dict()}))
    train(model, optimizer, range(9, 12))  # goes on: what was saved must not move with it

    resumed = nn.MLP(2, [4, 3], rng=2)
    resumed.load_state_dict(saved["model"])
    optimizer = KINDS[kind](resumed.parameters())
    optimizer.load_state_dict(saved["optimizer"])
    assert optimizer.steps == 9
    train(resumed, optimizer, range(9, 20))
    assert resumed.state_dict() == straight.state_dict()


# --- against PyTorch --------------------------------------------------------------------------------------------------


@pytest.mark.torch
@every_kind
def test_steps_as_in_pytorch(kind):
    import torch

    start, gradients = [0.5, -1.5, 2.0], [[math.sin(s * 1.7 + i) * 2**i for i in range(3)] for s in range(25)]
    ours = [Value(x) for x in start]
    theirs = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = KINDS[kind](ours)
    torch_optimizer = {
        "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
        "SGD with momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        "Adam": lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.8, 0.95), eps=1e-6),
        "AdamW": lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.2),
    }[kind]([theirs])
    for grads in gradients:
        for p, g in zip(ours, grads, strict=True):
            p.grad = g
        theirs.grad = torch.tensor(grads, dtype=torch.float64)
        optimizer.step()
        torch_optimizer.step()
        assert [p.data for p in ours] == pytest.approx(theirs.tolist(), rel=1e-11)


@pytest.mark.torch
@pytest.mark.parametrize("limit", [0.5, 3.0, 100.0])
def test_clipping_as_in_pytorch(limit):
    import torch

    grads = [0.3, -4.0, 1.2]
    ours = [with_gradient(0.0, g) for g in grads]
    theirs = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    theirs.grad = torch.tensor(grads, dtype=torch.float64)
    norm = torch.nn.utils.clip_grad_norm_([theirs], limit)
    assert optim.clip_grad_norm(ours, limit) == pytest.approx(norm.item(), rel=1e-12)
    assert [p.grad for p in ours] == pytest.approx(theirs.grad.tolist(), rel=1e-6)  # PyTorch adds 1e-6 to the norm


@pytest.mark.torch
def test_schedules_as_in_pytorch():
    import torch

    def rates(make):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
        schedule = make(optimizer)
        for _ in range(21):
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
            schedule.step()

    cosine = rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=20, eta_min=0.1))
    linear = rates(lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.25, total_iters=20))
    settings = {"lr": 0.4, "total_steps": 20, "min_lr": 0.1}
    assert [optim.warmup_cosine(s, **settings) for s in range(21)] == pytest.approx(list(cosine), rel=1e-9)
    assert [optim.warmup_linear(s, **settings) for s in range(21)] == pytest.approx(list(linear), rel=1e-9)
