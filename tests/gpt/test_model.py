from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest

from gpt.config import POSITIONS, GPTConfig
from gpt.errors import ConfigError
from gpt.model import GPT, KVCache, apply_rotary, rotary_angles
from tinygrad_edu import Value, no_grad
from tinygrad_edu.nested import shape

SMALL = {"vocab_size": 7, "block_size": 5, "n_layer": 2, "n_head": 2, "n_embd": 4, "init_std": 0.4}
TOKENS, TARGETS = [1, 4, 4, 0, 6], [4, 4, 0, 6, 2]


def test_parameter_counts() -> None:
    assert len(GPT(GPTConfig()).parameters()) == 5_408  # of the presets: test_config.py
    # TinyLM: vocabulary 40 or 65, width 32, 2 heads, ff 64 in the original; ours is four times the width.
    assert len(GPT(GPTConfig(vocab_size=40, n_embd=8, n_head=2)).parameters()) == 2 * 40 * 8 + 16 * 8 + 12 * 64


def test_names_and_shapes_are_gpt_2s() -> None:
    model = GPT(GPTConfig(**SMALL, norm="layernorm", norm_weight=True, bias=True))
    shapes = {name: shape(parameter) for name, parameter in model.named_parameters()}
    block = {
        "ln_1.weight": (4,), "ln_1.bias": (4,),
        "attn.c_attn.weight": (12, 4), "attn.c_attn.bias": (12,),
        "attn.c_proj.weight": (4, 4), "attn.c_proj.bias": (4,),
        "ln_2.weight": (4,), "ln_2.bias": (4,),
        "mlp.c_fc.weight": (16, 4), "mlp.c_fc.bias": (16,),
        "mlp.c_proj.weight": (4, 16), "mlp.c_proj.bias": (4,),
    }  # fmt: skip
    assert shapes == {
        "transformer.wte.weight": (7, 4),
        "transformer.wpe.weight": (5, 4),
        **{f"transformer.h.{i}.{name}": size for i in (0, 1) for name, size in block.items()},
        "transformer.ln_f.weight": (4,),
        "transformer.ln_f.bias": (4,),
        "lm_head.weight": (7, 4),
    }


def test_the_initial_loss_is_near_guessing() -> None:
    rng = random.Random(0)
    model = GPT(GPTConfig(vocab_size=65))
    losses = [
        model.loss([rng.randrange(65) for _ in range(16)], [rng.randrange(65) for _ in range(16)]) for _ in range(4)
    ]
    assert sum(x.data for x in losses) / 4 == pytest.approx(math.log(65), abs=0.1)


def test_the_seed_decides_the_weights() -> None:
    states = [GPT(GPTConfig(**SMALL), seed=seed).state_dict() for seed in (1, 1, 2)]
    assert states[0] == states[1] != states[2]


def test_no_position_sees_the_future() -> None:
    model = GPT(GPTConfig(**SMALL))
    logits = [[x.data for x in row] for row in model(TOKENS)]
    for t in range(1, 5):
        changed = TOKENS[:t] + [(token + 1) % 7 for token in TOKENS[t:]]
        other = [[x.data for x in row] for row in model(changed)]
        assert other[:t] == logits[:t]
        assert other[t] != logits[t]


def test_rotation_keeps_lengths_and_products_depend_only_on_distance() -> None:
    rng = random.Random(0)
    q, k = ([Value(rng.gauss(0, 1)) for _ in range(6)] for _ in range(2))

    def rotated(x: list[Value], position: int) -> list[float]:
        return [v.data for v in apply_rotary(x, rotary_angles(position, 3))]

    def product(i: int, j: int) -> float:
        return sum(a * b for a, b in zip(rotated(q, i), rotated(k, j), strict=True))

    assert math.hypot(*rotated(q, 7)) == pytest.approx(math.hypot(*(v.data for v in q)), rel=1e-12)
    assert product(9, 4) == pytest.approx(product(5, 0), rel=1e-12) != pytest.approx(product(4, 9), rel=1e-3)
    assert rotated(q, 0) == [v.data for v in q]


def test_rotary_positions_have_no_table_and_distinguish_positions() -> None:
    model = GPT(GPTConfig(**SMALL, positions="rotary"), seed=2)
    assert not any("wpe" in name for name, _ in model.named_parameters())
    first, second = ([v.data for v in model(tokens)[-1]] for tokens in ([1, 2, 3], [2, 1, 3]))
    assert first != pytest.approx(second, rel=1e-6)


@pytest.mark.parametrize("positions", POSITIONS)
def test_earlier_keys_and_values_are_reused_not_recomputed(positions: str) -> None:
    model = GPT(GPTConfig(**SMALL, positions=positions))
    whole = [[x.data for x in row] for row in model(TOKENS)]
    cache = KVCache(model.config)
    pieces: list[list[float]] = []
    for piece in (TOKENS[:2], TOKENS[2:3], TOKENS[3:]):
        before = list(cache.layers[1].keys[0])
        pieces += [[x.data for x in row] for row in model(piece, cache)]
        assert all(a is b for a, b in zip(before, cache.layers[1].keys[0], strict=False))
    assert pieces == whole
    assert len(cache) == 5
    with pytest.raises(ConfigError, match="1 to 5 tokens"):
        model([1], cache)


@pytest.mark.parametrize("tokens", [[], [0] * 6])
def test_a_sequence_of_the_wrong_length_is_refused(tokens: list[int]) -> None:
    with pytest.raises(ConfigError, match=f"1 to 5 tokens .block_size., got {len(tokens)}"):
        GPT(GPTConfig(**SMALL))(tokens)


def test_a_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(IndexError, match="index 7 is out of range for a table of 7"):
        GPT(GPTConfig(**SMALL))([7])


def test_a_tied_head_is_one_parameter_with_gradients_from_both_ends() -> None:
    model = GPT(GPTConfig(**SMALL, tied_head=True))
    assert model.lm_head.weight is model.transformer.wte.weight
    assert "lm_head.weight" not in dict(model.named_parameters())
    assert "lm_head.weight" in model.state_dict()
    model.loss(TOKENS, TARGETS).backward()
    assert model.transformer.wte.weight[3][0].grad != 0.0  # token 3 is not in the text: only the head reaches it


def test_only_matrices_decay() -> None:
    model = GPT(GPTConfig(**SMALL, norm_weight=True, bias=True))
    kept = set(model.no_decay_parameters())
    for name, value in model.named_scalars():
        assert (value not in kept) == (".weight" in name and "ln_" not in name)


def test_dropout_depends_on_its_seed_and_is_off_in_evaluation() -> None:
    model = GPT(GPTConfig(**SMALL, dropout=0.5))

    def loss(seed: str) -> float:
        model.seed_dropout(seed)
        return model.loss(TOKENS, TARGETS).data

    assert loss("a") == loss("a") != loss("b")
    model.eval()
    assert loss("a") == loss("b") == GPT(GPTConfig(**SMALL)).loss(TOKENS, TARGETS).data


OPTIONS: list[dict[str, Any]] = [
    {"norm": norm, "norm_weight": weight, "activation": activation, "bias": bias, "tied_head": tied}
    for (norm, weight), (activation, bias, tied) in zip(
        itertools.product(("rmsnorm", "layernorm"), (False, True)),
        (("relu", False, False), ("gelu", True, True), ("relu2", True, False), ("silu", False, True)),
        strict=True,
    )
]
OPTIONS.append({"positions": "rotary", "activation": "relu2"})


@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_equal_finite_differences_under_every_option(options: dict[str, Any]) -> None:
    model = GPT(GPTConfig(**SMALL, **options), seed=3)
    model.loss(TOKENS, TARGETS).backward()
    rng = random.Random(0)
    for _, parameter in model.named_parameters():
        values = list(_flat(parameter))
        for value in rng.sample(values, min(3, len(values))):
            kept, h = value.data, 1e-5
            losses = []
            with no_grad():
                for nudged in (kept + h, kept - h):
                    value.data = nudged
                    losses.append(model.loss(TOKENS, TARGETS).data)
            value.data = kept
            assert value.grad == pytest.approx((losses[0] - losses[1]) / (2 * h), rel=1e-5, abs=1e-8)


def _flat(parameter: Any) -> Any:
    if isinstance(parameter, list):
        for item in parameter:
            yield from _flat(item)
    else:
        yield parameter


@pytest.mark.torch
@pytest.mark.parametrize("options", OPTIONS)
def test_logits_and_gradients_equal_the_same_model_in_pytorch(options: dict[str, Any]) -> None:
    import torch

    nnf = torch.nn.functional
    config = GPTConfig(**SMALL, **options)
    model = GPT(config, seed=5)
    w = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in model.state_dict().items()}
    if config.tied_head:
        w["lm_head.weight"] = w["transformer.wte.weight"]
    activate = {"relu": nnf.relu, "gelu": nnf.gelu, "silu": nnf.silu, "relu2": lambda x: nnf.relu(x) ** 2}

    def norm(x: Any, name: str) -> Any:
        scale, shift = w.get(f"{name}.weight"), w.get(f"{name}.bias")
        if config.norm == "layernorm":
            return nnf.layer_norm(x, (config.n_embd,), scale, shift)
        return nnf.rms_norm(x, (config.n_embd,), scale, eps=1e-5)

    def linear(x: Any, name: str) -> Any:
        return nnf.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def turned(heads: Any) -> Any:  # pairs of numbers as complex numbers, rotated by multiplication
        half = heads.shape[-1] // 2
        frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.outer(torch.arange(len(TOKENS), dtype=torch.float64), frequencies)
        z = torch.complex(heads[..., :half], heads[..., half:]) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([z.real, z.imag], dim=-1)

    x = w["transformer.wte.weight"][TOKENS]
    if config.positions == "learned":
        x = x + w["transformer.wpe.weight"][: len(TOKENS)]
    for i in range(config.n_layer):
        block = f"transformer.h.{i}"
        q, k, v = linear(norm(x, f"{block}.ln_1"), f"{block}.attn.c_attn").split(config.n_embd, dim=-1)
        heads = [part.view(len(TOKENS), config.n_head, -1).transpose(0, 1) for part in (q, k, v)]
        if config.positions == "rotary":
            heads[:2] = map(turned, heads[:2])
        attended = nnf.scaled_dot_product_attention(*heads, is_causal=True).transpose(0, 1).reshape(x.shape)
        x = x + linear(attended, f"{block}.attn.c_proj")
        hidden = activate[config.activation](linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc"))
        x = x + linear(hidden, f"{block}.mlp.c_proj")
    logits = norm(x, "transformer.ln_f") @ w["lm_head.weight"].T
    loss = nnf.cross_entropy(logits, torch.tensor(TARGETS))
    loss.backward()

    ours = model.loss(TOKENS, TARGETS)
    ours.backward()
    assert ours.data == pytest.approx(loss.item(), rel=1e-12)
    for row, expected in zip(model(TOKENS), logits.tolist(), strict=True):
        assert [x.data for x in row] == pytest.approx(expected, rel=1e-10, abs=1e-12)
    for name, parameter in model.named_parameters():
        assert [v.grad for v in _flat(parameter)] == pytest.approx(w[name].grad.flatten().tolist(), rel=1e-8, abs=1e-12)
