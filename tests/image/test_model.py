"""The flow and its networks: by hand, against tensors written with numpy, and every way to compute them alike."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from image.config import PRESETS, ModelConfig
from image.data import shapes
from image.dataset import batch, nothing
from image.model import Painter, mixed, velocity
from image.sample import Sampler, noise
from tests.compiler.interpreter_backend import InterpreterBackend
from tinygrad_edu import Value, jit
from tinygrad_edu.training.engine import transposed
from tinygrad_edu.training.errors import ConfigError

CONFIGS = {
    "points": ModelConfig(data="moons", network="mlp", width=6, layers=2),
    "digits-mlp": ModelConfig(data="digits", condition="class", network="mlp", width=6, layers=1),
    "digits": ModelConfig(data="digits", width=4, heads=2, layers=1, patch=4, mlp_ratio=2),
    "class": ModelConfig(data="digits", condition="class", width=4, heads=2, layers=2, patch=4, mlp_ratio=2),
    "text": ModelConfig(data="shapes", condition="text", width=4, heads=2, layers=1, patch=6, mlp_ratio=2),
    "latent": ModelConfig(
        data="shapes", condition="text", width=4, heads=2, layers=1, patch=6, mlp_ratio=2, latent=3, hidden=5
    ),
}


def stirred(config: ModelConfig) -> Painter:
    """A model without zeros, which would hide what hangs on them."""
    model, rng = Painter(config, seed=1), random.Random(2)
    for p in model.parameters():
        p.data += rng.gauss(0.0, 0.2)
    return model


def plain(example: tuple[Any, ...]) -> list[Any]:
    return [x.tolist() if isinstance(x, (np.ndarray, np.generic)) else x for x in example]


def test_the_line_and_its_velocity_by_hand() -> None:
    assert [x.data for x in mixed([1.0, -2.0], [3.0, 0.0], 0.25)] == [1.5, -1.5]
    assert [x.data for x in velocity([1.0, -2.0], [3.0, 0.0])] == [2.0, 2.0]


@pytest.mark.parametrize("name", CONFIGS)
def test_scalars_interpreter_and_machine_code_agree_on_loss_and_gradient(name: str) -> None:
    config = CONFIGS[name]
    model = stirred(config)
    examples = batch(config, 1, 2, 3, 0.3)
    loss = sum(model.loss(*plain(example)) for example in examples) / 3.0
    assert isinstance(loss, Value)
    loss.backward()
    gradient = np.array([p.grad for p in model.parameters()])
    assert np.abs(gradient).max() > 0.0
    for settings, bound in (
        ({"backend": InterpreterBackend(), "dtype": "float64"}, 1e-9),
        ({"dtype": "float64"}, 1e-9),
        ({}, 1e-4),
    ):
        compiled = jit(model.loss, model, **settings)
        found = compiled.value_and_grad(*transposed(examples))
        assert found == pytest.approx(loss.data, rel=bound), settings
        assert np.abs(compiled.parameters.gradient - gradient).max() <= bound * np.abs(gradient).max(), settings


def test_a_block_begins_as_the_identity_and_the_network_as_zero() -> None:
    model = Painter(CONFIGS["text"], seed=3)
    net: Any = model.net
    x = [[0.5, -1.0, 2.0, 0.1]] * 4
    condition = [Value(0.3)] * 4
    assert [[v.data for v in row] for row in net.blocks[0](x, condition, x)] == x
    assert [v.data for v in model([0.5] * 144, 0.5, shapes.NOTHING)] == [0.0] * 144


def test_the_diffusion_transformer_is_that_of_the_formulas() -> None:
    """The same network on arrays, written from the paper's formulas."""
    config = CONFIGS["class"]
    model = stirred(config)
    w = {name: np.array(numbers) for name, numbers in model.net.state_dict().items()}

    def linear(name: str, x: Any) -> Any:
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    def silu(x: Any) -> Any:
        return x / (1.0 + np.exp(-x))

    def norm(x: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)

    picture, time, label = np.random.default_rng(4).standard_normal(64), 0.3, 7
    angles = np.array([time * math.pi / 2 * 2**i for i in range(6)])
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=1).ravel()
    told = linear("time.out", silu(linear("time.mix", waves))) + w["classes.label.weight"][label]
    patches = picture.reshape(2, 4, 2, 4).transpose(0, 2, 1, 3).reshape(4, 16)
    x = linear("enter", patches) + (w["row.weight"][:, None] + w["column.weight"][None]).reshape(4, 4)
    for i in range(2):
        vectors = linear(f"blocks.{i}.modulation.proj", silu(told)).reshape(6, 4)
        seen = norm(x) * (1.0 + vectors[1]) + vectors[0]
        q, k, v = (linear(f"blocks.{i}.attn.{part}", seen) for part in ("query", "key", "value"))
        gathered = []
        for half in (slice(0, 2), slice(2, 4)):
            scores = np.exp(q[:, half] @ k[:, half].T / math.sqrt(2))
            gathered.append(scores / scores.sum(1, keepdims=True) @ v[:, half])
        x = x + vectors[2] * linear(f"blocks.{i}.attn.out", np.concatenate(gathered, axis=1))
        seen = norm(x) * (1.0 + vectors[4]) + vectors[3]
        x = x + vectors[5] * linear(f"blocks.{i}.mlp.proj", silu(linear(f"blocks.{i}.mlp.fc", seen)))
    shift, scale = linear("modulation.proj", silu(told)).reshape(2, 4)
    out = linear("leave", norm(x) * (1.0 + scale) + shift)
    expected = out.reshape(2, 2, 4, 4).transpose(0, 2, 1, 3).ravel()
    assert [v.data for v in model(picture.tolist(), time, label)] == pytest.approx(expected.tolist(), rel=1e-9)


def test_the_flow_does_not_pull_at_the_autoencoder() -> None:
    config = CONFIGS["latent"]
    model = stirred(config)
    noise_, picture, time, words = plain(batch(config, 1, 0, 1, 0.0)[0])
    center, _ = model.vae.encode(picture)
    model.flow_loss(noise_[: config.numbers], [c.detach() for c in center], time, words).backward()
    assert all(p.grad == 0.0 for p in model.vae.parameters())
    model.zero_grad()
    model.loss(noise_, picture, time, words).backward()
    assert all(any(p.grad for p in part.parameters()) for part in (model.vae.encoder, model.vae.decoder, model.net))


@pytest.mark.parametrize("name", ["points", "class", "text", "latent"])
def test_the_way_from_noise_is_that_of_euler_on_values(name: str) -> None:
    config = CONFIGS[name]
    model = stirred(config)
    told = [{"class": (4,), "text": (shapes.encode("a small ring, top left"),)}.get(config.condition, ())] * 2
    start = noise(config, 2, seed=5)
    way = Sampler(model).way(start, told, steps=3, guidance=1.5)
    for i in range(2):
        x = start[i].tolist()
        for step in range(3):
            with_it = [v.data for v in model(x, step / 3, *told[i])]
            without = [v.data for v in model(x, step / 3, *nothing(config))]
            x = [x + (u + 1.5 * (c - u)) / 3 for x, u, c in zip(x, without, with_it, strict=True)]
        assert way[-1, i].tolist() == pytest.approx(x, rel=1e-4, abs=1e-5)
    scalar = Sampler(model, scalar=True)
    assert scalar.way(start, told, 3, 1.5)[-1].ravel().tolist() == pytest.approx(way[-1].ravel().tolist(), abs=1e-5)
    assert np.abs(scalar.pictures(way[-1]) - Sampler(model).pictures(way[-1])).max() < 1e-5


def test_a_painting_does_not_depend_on_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    painter = Sampler(stirred(CONFIGS["class"]))
    several = painter.paint([(i,) for i in range(5)], seed=3, steps=2)
    monkeypatch.setattr("image.sample.AT_ONCE", 2)
    assert np.abs(painter.paint([(i,) for i in range(3)], seed=3, steps=2) - several[:3]).max() < 1e-5
    assert np.abs(painter.paint([(0,)], seed=4, steps=2) - several[:1]).max() > 1e-3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"data": "moons"}, "data moons needs network mlp"),
        ({"data": "cats"}, "data must be one of moons, spiral, digits, shapes; got 'cats'"),
        ({"condition": "text"}, "condition text needs data shapes, got digits"),
        ({"data": "shapes", "condition": "class"}, "condition class needs data digits, got shapes"),
        ({"data": "shapes", "condition": "text", "network": "mlp"}, "condition text needs network transformer"),
        ({"width": 10}, "heads must divide width; got width 10 and heads 4"),
        ({"patch": 3}, "patch must divide the side of the picture, 8; got 3"),
        ({"data": "spiral", "network": "mlp", "latent": 2}, "an autoencoder needs pictures"),
        ({"width": 4096, "layers": 200}, "choose a smaller width"),
    ],
)
def test_a_model_that_cannot_be_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ModelConfig(**fields)


def test_the_presets_are_models() -> None:
    for preset in PRESETS.values():
        ModelConfig(**preset.model)


def test_the_numbers_of_a_patch_make_the_pixels_of_that_patch() -> None:
    model = stirred(CONFIGS["latent"])
    numbers = [0.1 * i for i in range(12)]  # 4 patches of 3
    plainly = [x.data for x in model.decode(numbers)]
    for patch in range(4):
        moved = [x.data for x in model.decode([x + (i // 3 == patch) for i, x in enumerate(numbers)])]
        changed = {i for i in range(144) if moved[i] != plainly[i]}
        rows, columns = range(6 * (patch // 2), 6 * (patch // 2) + 6), range(6 * (patch % 2), 6 * (patch % 2) + 6)
        assert changed == {12 * row + column for row in rows for column in columns}
