"""Record one loss in scalars with its gradients and module calls, from which its graph is drawn."""

from __future__ import annotations

from tinygrad_edu import Value, collector_paused, record_calls
from tinygrad_edu.calls import CallRecord

from ..dataset import validation
from ..model import Painter

__all__ = ["LARGEST", "recorded"]

LARGEST = 3_000_000  # scalars, about; more would take too long


def recorded(model: Painter, largest: int = LARGEST) -> tuple[Value, CallRecord, str]:
    """Return the loss on one example that no step gets, after ``backward()``, the recorded calls, and its name.

    Of a picture with many patches only the top left corner is taken, as large as ``largest`` allows.
    """
    config = model.config
    noise, picture, *rest = validation(config, 1)[0]
    what = "a point" if config.pixels == 2 else f"a picture of {round(config.pixels**0.5)}×{round(config.pixels**0.5)}"
    if config.network == "transformer" and not config.latent:
        side = config.side
        while side > config.patch and 2 * len(model.parameters()) * (side // config.patch) ** 2 > largest:
            side -= config.patch
        if side < config.side:
            noise, picture = (x.reshape(config.side, -1)[:side, :side].ravel() for x in (noise, picture))
            what = f"the {side}×{side} pixels in the corner of {what}"
    model.zero_grad()
    with collector_paused():
        with record_calls() as calls:
            loss = model.loss(noise.tolist(), picture.tolist(), *rest)
        loss.label = "loss"
        loss.backward()
    return loss, calls, what
