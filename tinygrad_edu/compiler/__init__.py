"""The compiler: scalars in, array program out.

Read in this order, which is also the way of a function through it:

``trace`` (run it once, write down every operation; ``templates``: module calls; ``outside``: chance and clocks) →
``normalise`` (fewer, larger nodes, with a level each) → ``vectorise`` (packs of nodes become instructions; ``shapes``:
how packs find their order; ``inline``: calls) → ``passes`` → ``autodiff`` → ``interpreter`` (what a program means) and
``numpy_backend`` (the fast one; ``layout``, ``views``, ``product``, ``kernels``; ``scalars``: plain Python for
stretches without vectors). Where there is llvmlite, ``fusion`` finds stretches of the program that ``native`` makes
into machine code (``formulas``: the operations in LLVM's language; ``rematerialise``: what is cheaper to compute again;
``adam``: a step of the optimiser as a program). The language in between is ``ir``, the public face is ``compiled``.
"""

from . import native
from .compiled import Bound, Compiled, Stats, jit
from .optim import SGD, Adam, AdamW, clip_grad_norm
from .parameters import Parameters

__all__ = ["SGD", "Adam", "AdamW", "Bound", "Compiled", "Parameters", "Stats", "clip_grad_norm", "jit", "native"]
