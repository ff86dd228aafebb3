"""The compiler: scalars in, array program out.

Read in this order, which is also the path of a function through it; ``tests/engine/test_imports.py`` says which folder
may import from which.

``compiled``: ``jit``, the public face; ``parameters``: one flat array for all of them; ``optim``: the optimizers on it;
``backend``: the interface of a back end

``frontend``: run the function once and write down every operation
    ``trace`` on ``tracers`` (the objects that stand in for numbers); ``module_templates``: calls of modules;
    ``structure``: how arguments and results are nested; ``simplify``: fewer, larger nodes, with a level each;
    ``diagnostics``: the texts of refusals; ``catching``: errors that the function catches; ``builtin_type``: ``type``,
    ``max``, ``min`` and ``sum``; ``indirect``: questions that a traced number cannot detect, such as
    ``(0.5).__lt__(x)``; ``subscripts``: ``table[i]``; ``outside``: random numbers and clocks; ``surroundings``: what
    the function reads besides its arguments; ``repeatable``: whether a second run is needed

``vectorize``: packs of nodes become instructions
    ``packs``; ``inline``: calls; ``placement``: where the result of every node is; ``affine``: how packs find their
    order; ``to_program``; ``kept``: programs on disk

``numpy_backend``: the one that runs everywhere
    ``entry``: ``NumpyBackend``; ``executor``: memory and order; ``parallel``: a batch split among threads;
    ``lowering``: an instruction as calls of numpy on ``buffers``; ``contraction``: sums of products; ``elementwise``:
    kernels for which numpy has no function; ``scalars``: plain Python for parts without vectors;
    ``in_place``: steps of optimizers

``llvm_backend``: machine code, if llvmlite is installed
    ``text``: its words; ``llvm_math``: the operations in LLVM's language; ``codegen``: kernels of fused loops;
    ``products``; ``moves``: look-ups in tables; ``steps``: which of them an instruction needs, and all in one call;
    ``plain``: any instruction, one point after another; ``in_place``: a step of an optimizer as one kernel

``wasm_backend``: the same kernels as a WebAssembly module, for browsers and Node
    ``binary``: the bytes of a module; ``layout``: its memory; ``texts``: the kernels in one text; ``module``: what
    ``Compiled.to_wasm`` returns; ``step.js``, which loads it

``runtime``: what every back end needs
    ``memory``; ``allocation``: a place in it for every array; ``axis_order``: the order of axes in memory; ``views``:
    strided arrays; ``index_range``: whether indices are in range; ``dropout_masks``; ``erfcx``: the tail of the
    normal distribution; ``threads``; ``disk_cache``: what is kept for the next process

``program``: the language in between
    ``ir``; ``interpreter``: what a program means; ``autodiff``; ``passes``; ``fusion``: which instructions run as
    one loop; ``rematerialize``: what is cheaper to recompute; ``holes``: points of products that need no
    multiplication; ``updates``: steps of optimizers as programs
"""

from .backend import Backend, Executor
from .compiled import Bound, Compiled, Stats, jit
from .llvm_backend import codegen as native
from .numpy_backend.entry import NumpyBackend
from .optim import SGD, Adam, AdamW, clip_grad_norm
from .parameters import Parameters
from .wasm_backend.module import WasmModule

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Backend",
    "Bound",
    "Compiled",
    "Executor",
    "NumpyBackend",
    "Parameters",
    "Stats",
    "WasmModule",
    "clip_grad_norm",
    "jit",
    "native",
]
