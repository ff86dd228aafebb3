"""What the patches look at: the attention from patches to the words of a caption, at one moment of the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import collector_paused, no_grad, record_calls

from ..model import Painter, TransformerVelocity

__all__ = ["looked"]


def looked(model: Painter, x: Any, time: float, words: Any) -> Any:
    """Return how much of its attention each patch gives to each word, in every head.  # (layers, heads, T, L)

    It is the softmax over query · key / √size of the queries and keys that the heads got.
    """
    assert isinstance(model.net, TransformerVelocity)
    with no_grad(), record_calls() as calls, collector_paused():
        model(list(x), time, words)
    found = []
    for call in (one for top in calls.calls for one in top.walk()):
        if call.kind == "AttentionHead" and call.path.endswith("cross.head"):
            numbers = np.array([v.data for v in call.inputs])
            size = (len(call.inputs) - len(call.outputs)) // 2 // len(words)  # queries, and as many keys as values
            queries, keys = numbers[: len(call.outputs)], numbers[len(call.outputs) :][: size * len(words)]
            scores = np.exp(queries.reshape(-1, size) @ keys.reshape(-1, size).T / size**0.5)
            found.append(scores / scores.sum(axis=1, keepdims=True))
    return np.stack(found).reshape(len(model.net.blocks), -1, *found[0].shape)
