"""``--engine torch``: the compiled program on PyTorch tensors, on a GPU if asked, in several processes under torchrun.

With several processes each has the whole model and takes its part of each batch; gradients are averaged
over all (data parallelism; Li et al. 2020, "PyTorch Distributed", section 2.3), so that all make the same step, that of
one process with the whole batch.
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from torch import distributed

from tinygrad_edu.compiler import AdamW, Parameters
from tinygrad_edu.errors import DomainError

from ...config import TrainConfig
from ...data.corpus import Sequences
from ...errors import ConfigError
from ...model import GPT
from ..base import adamw_settings
from ..compiled import CompiledEngine
from .backend import TorchBackend, clip_grad_norm
from .distributed import launched, own_threads

__all__ = ["TorchEngine"]


class TorchEngine(CompiledEngine):
    """See :class:`gpt.engines.compiled.CompiledEngine`; its losses differ in the last digits of a float32."""

    def _prepare(self, model: GPT, config: TrainConfig) -> None:  # type: ignore[override]  # it needs the device
        self._rank, self._count = launched()
        if self._count > 1 and not distributed.is_initialized():
            raise ConfigError("only train runs in several processes: start this command without torchrun")
        if config.batch_size % self._count:
            raise ConfigError(
                f"batch_size must be divisible by the number of processes, among which every batch is split; "
                f"got {config.batch_size} and {self._count} processes"
            )
        torch.set_num_threads(own_threads(config.threads))
        backend = TorchBackend(_device(config.device), part=(self._rank, self._count))
        self._parameters = Parameters(model, backend=backend)
        self._optimizer = AdamW(self._parameters, **adamw_settings(model, config))

    def _value_and_grad(self, sequences: Sequences, dropout_seed: str) -> float:
        if self._count == 1:
            return super()._value_and_grad(sequences, dropout_seed)
        share = len(sequences) // self._count
        failed, loss = None, math.nan
        try:
            loss = super()._value_and_grad(sequences[self._rank * share : (self._rank + 1) * share], dropout_seed)
        except DomainError as error:
            failed = error  # after telling the others, which are waiting for our gradient
        gradient = self._parameters.gradient
        distributed.all_reduce(gradient)
        gradient /= self._count
        loss = self._sum(loss) / self._count
        if failed is not None:
            raise failed
        return loss

    def _clip(self) -> float:
        return clip_grad_norm(self._parameters, self._grad_clip)

    def evaluate(self, sequences: Sequences) -> float:
        """See :class:`gpt.engines.base.Engine`; every process takes its part."""
        if self._count == 1:
            return super().evaluate(sequences)
        share = sequences[self._rank :: self._count]
        return self._sum(super().evaluate(share) * len(share) if share else 0.0) / len(sequences)

    def any_process(self, flag: bool) -> bool:
        """See :class:`gpt.engines.base.Engine`."""
        return flag if self._count == 1 else self._sum(float(flag)) > 0.0

    def _sum(self, number: float) -> float:
        """Return the sum of one number from every process, with the same bits in all of them."""
        total = torch.tensor(number, dtype=torch.float64, device=self._parameters.backend.device)
        distributed.all_reduce(total)
        return float(total)


def _device(name: str) -> str:
    if name == "cpu":
        return name
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for the next line to take effect
    if not torch.cuda.is_available():
        raise ConfigError(
            "device cuda: PyTorch finds no CUDA GPU on this machine; use --device cpu, or install a PyTorch for CUDA"
        )
    own = int(os.environ.get("LOCAL_RANK", "0"))
    if own >= torch.cuda.device_count():
        raise ConfigError(
            f"device cuda: this machine has {torch.cuda.device_count()} GPUs, and every process needs its own; "
            f"give torchrun --nproc-per-node {torch.cuda.device_count()}"
        )
    torch.cuda.set_device(own)
    torch.use_deterministic_algorithms(True)  # a resumed run makes the same steps, bit for bit
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
    return f"cuda:{own}"
