"""Modules: layers with parameters, from one neuron to the pieces of a GPT, all made of scalars.

A parameter is a Value, or a list (of lists) of Values, kept as an attribute of a Module. Parameters and modules are
also found in tuples, dictionaries and numpy arrays, however nested; in other objects, iterators and closures they are
an error. Attributes whose name starts with an underscore are ignored. Randomness comes from a given ``random.Random``
or seed, never from a global generator; the default seed is 0.

Shapes in the margin: n in_features, m out_features, T time, hs head size.
"""

from __future__ import annotations

import math
import operator
import random
import textwrap
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from contextvars import ContextVar
from types import CellType, GeneratorType, ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar, Union

from . import calls
from . import functional as F
from .engine import Value, as_float
from .errors import DomainError, ShapeError, StateDictError, short, shown
from .nested import DEEPEST, listed, rectangle, shape, unflatten, values_in

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Activation",
    "Attention",
    "AttentionHead",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "Linear",
    "Modulation",
    "Module",
    "Neuron",
    "Numbers",
    "Output",
    "Parameter",
    "RMSNorm",
    "TimeEmbedding",
    "activation",
    "generator",
]

#: A parameter: one Value, or nested lists (or tuples) of Values that form a rectangle.
Parameter = Union[Value, "Sequence[Parameter]"]  # a recursive type cannot be written with |
#: The numbers of a parameter, nested in the same way.
Numbers = Union[float, "list[Numbers]"]

#: GELU as GPT-2 has it (Hendrycks and Gimpel 2016, section 2): ½(1 + tanh(z)) is the sigmoid of 2z, with 2√(2/π) here.
_GELU_TANH = 2.0 * math.sqrt(2.0 / math.pi)
ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "linear": F.as_value,
    "relu": Value.relu,
    "tanh": Value.tanh,
    "sigmoid": Value.sigmoid,
    "gelu": Value.gelu,
    "gelu_tanh": lambda x: (v := F.as_value(x)) * Value.sigmoid((v + 0.044715 * v * v * v) * _GELU_TANH),
    "relu2": lambda x: (positive := Value.relu(x)) * positive,  # So et al. 2021, "Primer"
    "silu": lambda x: x * Value.sigmoid(x),
}


def activation(name: str) -> Callable[[Value], Value]:
    """Return the activation function called ``name``; raises ValueError with the known names if there is none."""
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise ValueError(f"unknown activation: {name!r} (must be one of {', '.join(ACTIVATIONS)})") from None


def generator(rng: random.Random | int) -> random.Random:
    """Make a random generator from a seed; a generator is returned as it is, so that layers can share one."""
    return rng if isinstance(rng, random.Random) else random.Random(rng)


_P = ParamSpec("_P")
_R = TypeVar("_R", covariant=True)


class _Forward(Protocol[_P, _R]):
    """The type of a module's call for type checkers."""

    def forward(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...


_activation = activation  # for constructors that have a parameter of this name


class Module:
    """Base of every layer: finds parameters and submodules in its attributes, in the order they were assigned."""

    training: bool = True  # read by Dropout; see train() and eval()

    def __init_subclass__(cls) -> None:
        """Refuse parameters in places that modules cannot own: attributes of the class, or slots."""
        super().__init_subclass__()
        if vars(cls).get("__slots__"):
            raise TypeError(f"{cls.__name__}: parameters in __slots__ are not found; leave __slots__ out")
        if issubclass(cls, _CONTAINERS):
            raise TypeError(f"{cls.__name__}: parameters among its items are not found; keep them in an attribute")
        for name, attribute in ((name, thing) for kind in cls.__mro__[::-1] for name, thing in vars(kind).items()):
            if not name.startswith("_") and any(_is_found(thing) for _, thing in _contents((name,), attribute)):
                raise TypeError(
                    f"{cls.__name__}.{name}: a parameter in the class would be shared by all its modules, and not be "
                    f"found; write self.{name} = … in __init__()"
                )

    def __call__(self: _Forward[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Apply the module: takes the arguments of ``forward``, and returns its result.

        The installed call hook, if any, is notified (see :mod:`tinygrad_edu.calls`). An error inside, such as log(0),
        gets a note that names the module.
        """
        hook = calls._hook.get()
        try:
            result: _R = self.forward(*args, **kwargs) if hook is None else hook(self, args, kwargs)
            return result
        except DomainError as error:
            calls.note_module(error, self)
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's result. Each layer defines it; call the module itself, not this."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): write what it computes there")

    # --- what is inside ---------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules directly below this one: an attribute ``h`` with a list of two is ``h.0`` and ``h.1``."""
        for path, thing in self._contents():
            if isinstance(thing, Module):
                yield ".".join(map(str, path)), thing

    def _contents(self) -> Iterator[tuple[tuple[Any, ...], Any]]:
        for name, attribute in vars(self).items():
            if not name.startswith("_"):
                yield from _contents((name,), attribute)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Iterate over this module and every module below it with its path; its own path is ``prefix``."""
        return ((path, module) for path, module, _ in self._walk(prefix))

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Module, list[tuple[tuple[Any, ...], Any]]]]:
        """Yield modules with their contents, which are searched only once: they may be a million."""
        contents = [*self._contents()]
        yield prefix, self, contents
        for path, thing in contents:
            if isinstance(thing, Module):
                yield from thing._walk(_join(prefix, ".".join(map(str, path))))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter with its path, each once: a parameter used in two places has the name of the first.

        In a dictionary it is ``name.key``, in a list that is not a rectangle of Values ``name[i]``.
        """
        seen: dict[Value, list[Parameter]] = {}  # by the first Value; lists with the same Values are equal
        for name, parameter in self._all_parameters():
            known = seen.setdefault(_first(parameter), [])
            if parameter not in known:
                known.append(parameter)
                yield name, parameter

    def _all_parameters(self) -> Iterator[tuple[str, Parameter]]:
        names: set[str] = set()
        modules, parameters, others = [], [], []
        for prefix, module, contents in self._walk():
            modules.append(module)
            for path, thing in contents:
                if not _is_found(thing):
                    others.append((_join(prefix, path[0]), thing))
                elif not isinstance(thing, Module):
                    name = _join(prefix, path[0] + "".join(f"[{k}]" if type(k) is int else f".{k}" for k in path[1:]))
                    if name in names:
                        raise ValueError(f"two parameters of this {type(self).__name__} are called {name}; rename one")
                    names.add(name)
                    parameters.append(thing)
                    yield name, thing
        hidden = [(name, other, thing) for name, other in others for thing in _hidden_in(other)]
        if hidden:  # hardly ever; collecting what is found takes as long as all the rest
            found = {id(thing) for thing in (*modules, *values_in(parameters))}
            for name, other, thing in hidden:
                if id(thing) not in found:
                    raise TypeError(
                        f"{name}: the {type(thing).__name__} inside of the {type(other).__name__} is not found; "
                        f"keep it in a list, a dictionary or a Module, or begin the name with _ to leave it out"
                    )

    def named_scalars(self) -> Iterator[tuple[str, Value]]:
        """Yield every single Value, each once, with its path and indices: ``("lm_head.weight[3][0]", Value(...))``."""
        seen: set[Value] = set()
        for name, parameter in self.named_parameters():
            for scalar_name, value in _scalars_in(name, parameter):
                if value not in seen:
                    seen.add(value)
                    yield scalar_name, value

    def parameters(self) -> list[Value]:
        """Return every single Value, each once, in the order of :meth:`named_parameters`."""
        return list(dict.fromkeys(values_in([parameter for _, parameter in self.named_parameters()])))

    # --- training ---------------------------------------------------------------------------------------------------

    def zero_grad(self) -> None:
        """Reset the gradient of every parameter."""
        for value in self.parameters():
            value.zero_grad()

    def train(self, mode: bool = True) -> Self:
        """Switch everything below to training (Dropout drops) or, with False, to evaluation; returns the module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch everything below to evaluation: the same as ``train(False)``."""
        return self.train(False)

    # --- saving ---------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Numbers]:
        """Return the numbers of every parameter by name, as floats nested like the parameter.

        >>> Linear(2, 1, rng=0).state_dict().keys()
        dict_keys(['weight', 'bias'])
        """
        return {name: _numbers(parameter) for name, parameter in self._all_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set every parameter from ``state``; nothing is changed unless everything fits.

        Raises:
            StateDictError: a name is missing or unknown, a shape differs (the message has the name and both shapes), or
                an entry is not a number.
        """
        own = dict(self._all_parameters())
        missing, unknown = [k for k in own if k not in state], [k for k in state if k not in own]
        if missing or unknown:
            parts = [f"{word}: {', '.join(k)}" for word, k in (("missing", missing), ("unknown", unknown)) if k]
            raise StateDictError(f"these are not the parameters of this {type(self).__name__}; {'; '.join(parts)}")
        values: list[Value] = []
        new: list[float] = []
        for name, parameter in own.items():
            expected, those = rectangle(parameter) or ((), [])
            try:  # nearly always floats, without a call for each
                got, floats = rectangle(its := listed(state[name]), float) or (shape(its), _flat_numbers(name, its))
            except ShapeError as error:
                raise StateDictError(f"{name}: expected shape {expected}, got {error}") from None
            if expected != got:
                raise StateDictError(f"{name}: expected shape {expected}, got {got}")
            values += those
            new += floats
        for value, number in zip(values, new, strict=True):
            value.data = number

    def __repr__(self) -> str:
        try:
            facts = self._facts()
        except Exception as error:  # even an incomplete or invalid module can be printed, to find out why
            facts = textwrap.shorten(f"its parameters cannot be listed: {error}", 100, placeholder=" …")
        return f"{short(type(self).__name__)}({facts})"

    def _facts(self) -> str:
        """Return the facts about the module for ``repr``."""
        return f"{len(self.parameters()):,} parameters"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _contents(path: tuple[Any, ...], thing: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield what is in an attribute, however nested, with the keys and indices that lead there.

    These are modules, parameters, and objects of other kinds, which may hold some.
    """
    if isinstance(thing, (Module, Value)):
        yield path, thing
    elif type(thing) in _PLAIN:
        return
    elif len(path) > DEEPEST:
        raise TypeError(f"{path[0]}: containers are nested more than {DEEPEST} deep, or one contains itself")
    elif isinstance(thing, Mapping):
        if not _PLAIN.issuperset(map(type, thing)):
            yield path, iter([*thing])  # Values as keys are not found
        for key, item in thing.items():  # a key that is a number is written like one that is a word
            yield from _contents((*path, str(key)), item)
    elif isinstance(thing, Collection) and not isinstance(thing, (str, bytes)):
        if not getattr(getattr(thing, "dtype", None), "hasobject", True):
            return  # an array of numbers
        items = listed(thing)
        if isinstance(items, Value) or (isinstance(items, (list, tuple)) and rectangle(items) is not None):
            yield path, items  # a Value: of an array without axes
        elif not _PLAIN.issuperset(map(type, items)):
            if isinstance(thing, Set) and any(_is_found(x) for item in items for _, x in _contents(path, item)):
                raise TypeError(
                    f"{path[0]}: parameters in a set have no order and no names; use a list or a dictionary"
                )
            for i, item in enumerate(items):
                yield from _contents((*path, i), item)
    else:
        yield path, thing


def _is_found(thing: Any) -> bool:
    """Return whether what :func:`_contents` yields is a module or a parameter."""
    return isinstance(thing, (Module, Value, list, tuple))


def _hidden_in(thing: Any) -> Iterator[Value | Module]:
    """Yield the modules and leaves that an object of any kind holds: attributes, items of an iterator, closures."""
    seen: set[int] = set()
    stack = [thing]
    kept = []  # what is made on the way, so that no identity is used twice
    while stack and len(seen) < _FARTHEST:
        thing = stack.pop()
        if isinstance(thing, Module) or (isinstance(thing, Value) and thing.op is None):
            yield thing
        elif id(thing) not in seen and type(thing) not in _PLAIN and not isinstance(thing, (Value, ModuleType)):
            seen.add(id(thing))
            kept.append(thing)
            stack += _inside(thing)


def _inside(thing: Any) -> list[Any]:
    """What an object refers to. The collector would know more, but a sandbox must not let anybody ask it."""
    if isinstance(thing, type):
        held = (Value, Module, *_CONTAINERS)
        return [x for kind in thing.__mro__ for x in vars(kind).values() if isinstance(x, held)]
    inside: list[Any] = []
    for name in _REFERENCES:
        if hasattr(type(thing), name):
            with suppress(ValueError):  # a cell may be empty
                inside.append(getattr(thing, name, None))
    if isinstance(thing, GeneratorType):
        inside += thing.gi_frame.f_locals.values() if thing.gi_frame is not None else ()
    elif isinstance(thing, weakref.ref):
        inside.append(thing())
    elif isinstance(thing, ContextVar):
        inside.append(thing.get(None))
    elif isinstance(thing, Mapping):
        inside += [*thing, *thing.values()]
    elif getattr(getattr(thing, "dtype", None), "hasobject", False):
        inside += thing.ravel().tolist()
    elif isinstance(thing, _CONTAINERS):
        inside += thing
    elif type(thing).__module__ in ("builtins", "itertools", "operator") and not isinstance(thing, CellType):
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 and 3.13 warn of what 3.14 no longer does
            inside += thing.__reduce__()[1:]
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        inside += [getattr(thing, name, None) for name in ([slots] if isinstance(slots, str) else slots)]
    return [*inside, *getattr(thing, "__dict__", {}).values(), type(thing)]


#: Attributes by which functions, methods and the like refer to what they use.
_REFERENCES = (
    "__closure__", "__defaults__", "__kwdefaults__", "__self__", "__func__", "__wrapped__", "cell_contents", "func",
    "args", "keywords", "fget", "start", "stop",
)  # fmt: skip
#: What holds its items itself.
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
#: Types that hold nothing.
_PLAIN = frozenset((str, bytes, int, float, bool, complex, type(None)))
#: At most this many objects are visited, since one may reach everything.
_FARTHEST = 10_000


def _first(parameter: Parameter) -> Value:
    while not isinstance(parameter, Value):
        parameter = parameter[0]
    return parameter


def _scalars_in(name: str, parameter: Parameter) -> Iterator[tuple[str, Value]]:
    if isinstance(parameter, Value):
        yield name, parameter
    else:
        for i, item in enumerate(parameter):
            yield from _scalars_in(f"{name}[{i}]", item)


def _numbers(parameter: Parameter) -> Numbers:
    return unflatten([value.data for value in values_in(parameter)], shape(parameter))  # type: ignore[no-any-return]


def _flat_numbers(name: str, numbers: Any) -> Iterator[float]:
    numbers = listed(numbers)
    if isinstance(numbers, (list, tuple)):
        for item in numbers:
            yield from _flat_numbers(name, item)
    else:
        try:
            yield as_float(numbers)
        except TypeError:
            raise StateDictError(f"{name}: expected numbers, got {type(numbers).__name__}") from None


def _check_integer(kind: str, name: str, size: Any) -> None:
    try:
        operator.index(size)
    except TypeError:
        raise TypeError(f"{kind}: {name} must be an integer, got {shown(size)}") from None


def _check_sizes(kind: str, **sizes: int) -> None:
    for name, size in sizes.items():
        _check_integer(kind, name, size)
        if size < 1:
            raise ValueError(f"{kind}: {name} must be at least 1, got {size!r}")


def _uniform(rng: random.Random, bound: float, n: int) -> list[Value]:
    return [Value(rng.uniform(-bound, bound)) for _ in range(n)]


# --- networks of neurons ------------------------------------------------------------------------------------------


class Neuron(Module):
    """activation(w·x + b).                                                                            # (n) → ()

    Args:
        n_in: the number of inputs.
        activation: a name from :data:`ACTIVATIONS`.
        rng: a generator or a seed; the weights start uniform in ±1 as in micrograd, the bias at 0.
    """

    def __init__(self, n_in: int, activation: str = "tanh", *, rng: random.Random | int = 0) -> None:
        _check_sizes("Neuron", n_in=n_in)
        self.w = _uniform(generator(rng), 1.0, n_in)
        self.b = Value(0.0)
        self.activation = activation
        _activation(activation)  # an unknown name is an error here, not at the first call

    def forward(self, x: F.Vector) -> Value:
        """Compute the output; inputs may be Values or plain numbers."""
        if not hasattr(x, "__len__"):
            raise TypeError(f"a {type(self).__name__} takes a list of {len(self.w)} inputs, got {x!r}")
        if x.__class__ is not list:
            x = F.vector(x, f"a {type(self).__name__}")
        if len(x) != len(self.w):
            raise ShapeError(f"this Neuron has {len(self.w)} inputs; got {len(x)}")
        try:
            total = F.dot(self.w, x) + self.b
        except TypeError:
            F.vector(x, f"a {type(self).__name__}")  # reports what is not a number, in the name of the neuron
            raise
        return _activation(self.activation)(total)

    def __repr__(self) -> str:
        return f"{self.activation}-neuron({len(self.w)})"


class Layer(Module):
    """A layer of m neurons that see the same inputs.                                                # (n) → (m)"""

    def __init__(self, n_in: int, n_out: int, activation: str = "tanh", *, rng: random.Random | int = 0) -> None:
        _check_sizes("Layer", n_in=n_in, n_out=n_out)
        rng = generator(rng)
        self.neurons = [Neuron(n_in, activation, rng=rng) for _ in range(n_out)]

    def forward(self, x: F.Vector) -> list[Value]:
        """Return one output per neuron, always as a list."""
        x = F.vector(x, "a Layer") if hasattr(x, "__len__") else x
        return [neuron(x) for neuron in self.neurons]


if TYPE_CHECKING:

    class Output(Value, list[Value]):  # type: ignore[misc]  # of two methods of a name, the one of Value
        """The result of an MLP: which of the two depends on numbers, so a type checker allows what either can do."""

else:
    Output = Value | list[Value]


class MLP(Module):
    """A multi-layer perceptron: ``MLP(3, [4, 4, 2])`` has 3 inputs, two hidden layers of 4 and 2 outputs.

    The last layer is linear unless ``last_activation`` says otherwise. A network with one output returns it as a single
    Value, any other a list, as in micrograd.

    >>> MLP(3, [4, 4, 2])
    MLP(3 → 4 tanh → 4 tanh → 2 linear, 46 parameters)
    """

    def __init__(
        self,
        n_in: int,
        n_outs: Sequence[int],
        activation: str = "tanh",
        *,
        last_activation: str = "linear",
        rng: random.Random | int = 0,
    ) -> None:
        n_outs = listed(n_outs)
        if isinstance(n_outs, int):
            raise TypeError(f"an MLP takes the sizes of its layers as a list, even for one: MLP({n_in}, [{n_outs}])")
        for size in (n_in, *n_outs):
            _check_integer("MLP", "each size", size)
        if n_in < 1 or not n_outs or min(n_outs) < 1:
            raise ValueError(f"an MLP needs at least one input, one layer and one neuron in each; got {n_in}, {n_outs}")
        rng = generator(rng)
        sizes = [n_in, *n_outs]
        self.layers = [
            Layer(sizes[i], sizes[i + 1], activation if i < len(n_outs) - 1 else last_activation, rng=rng)
            for i in range(len(n_outs))
        ]

    def _facts(self) -> str:
        sizes = [str(len(self.layers[0].neurons[0].w))]
        sizes += [f"{len(layer.neurons)} {layer.neurons[0].activation}" for layer in self.layers]
        if len(sizes) > 9:
            sizes[5:-3] = [f"… {len(sizes) - 8} more …"]
        return f"{' → '.join(sizes)}, {super()._facts()}"

    def forward(self, x: F.Vector) -> Output:
        """Return a single Value for one output, else a list of Values."""
        out: Any = F.vector(x, "an MLP") if hasattr(x, "__len__") else x
        for layer in self.layers:
            out = layer(out)
        result: Output = out[0] if len(out) == 1 else out
        return result


# --- the pieces of a GPT --------------------------------------------------------------------------------------------


class Linear(Module):
    """W·x + b on a vector.                                                                           # (n) → (m)

    Args:
        in_features, out_features: n and m; ``weight`` is (m, n), as in PyTorch.
        bias: whether there is a b.
        std: the weights start normal with this deviation and the bias at 0; without it both start uniform in ±1/√n,
            PyTorch's default.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        std: float | None = None,
        rng: random.Random | int = 0,
    ) -> None:
        _check_sizes("Linear", in_features=in_features, out_features=out_features)
        rng = generator(rng)
        bound = in_features**-0.5
        if std is None:
            self.weight = [_uniform(rng, bound, in_features) for _ in range(out_features)]
        else:
            self.weight = [[Value(rng.gauss(0.0, std)) for _ in range(in_features)] for _ in range(out_features)]
        self.bias: list[Value] | None = None
        if bias:
            self.bias = _uniform(rng, bound, out_features) if std is None else [Value(0.0) for _ in range(out_features)]

    def forward(self, x: F.Vector) -> list[Value]:
        """Map a vector of in_features to a vector of out_features."""
        x = F.vector(x, "a Linear")
        if len(x) != len(self.weight[0]):
            n, m = len(self.weight[0]), len(self.weight)
            raise ShapeError(
                f"Linear(in_features={n}, out_features={m}): expected a vector of {n} numbers, got {len(x)}"
            )
        return F.linear(x, self.weight, self.bias)


class Embedding(Module):
    """A table of vectors, looked up by number.                                                       # index → (m)"""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, *, std: float = 1.0, rng: random.Random | int = 0
    ) -> None:
        _check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        rng = generator(rng)
        self.weight = [[Value(rng.gauss(0.0, std)) for _ in range(embedding_dim)] for _ in range(num_embeddings)]

    def forward(self, index: int) -> list[Value]:
        """Return row ``index``, the parameters themselves, so that gradients reach exactly this row."""
        try:
            return F.pick(self.weight, index)
        except IndexError as error:
            raise IndexError(f"Embedding({len(self.weight)}, {len(self.weight[0])}): {error}") from None


class RMSNorm(Module):
    """x / √(mean(x²) + eps), times a learned weight per feature unless ``weight=False``.             # (n) → (n)"""

    def __init__(self, features: int, weight: bool = True, *, eps: float = 1e-5) -> None:
        _check_sizes("RMSNorm", features=features)
        self.weight = [Value(1.0) for _ in range(features)] if weight else None
        self.eps = eps

    def forward(self, x: F.Vector) -> list[Value]:
        """Return a vector of unit mean square, scaled."""
        return F.rms_norm(x, self.weight, self.eps)


class LayerNorm(Module):
    """(x − mean) / √(variance + eps), with a learned weight and bias per feature if wanted.          # (n) → (n)"""

    def __init__(self, features: int, weight: bool = True, bias: bool = True, *, eps: float = 1e-5) -> None:
        _check_sizes("LayerNorm", features=features)
        self.weight = [Value(1.0) for _ in range(features)] if weight else None
        self.bias = [Value(0.0) for _ in range(features)] if bias else None
        self.eps = eps

    def forward(self, x: F.Vector) -> list[Value]:
        """Return a vector of mean 0 and variance 1, scaled and shifted."""
        return F.layer_norm(x, self.weight, self.bias, self.eps)


class AttentionHead(Module):
    """Attention of one head over a sequence; it has no parameters.

    Causal, queries belong to the *last* positions: with as many queries as keys this is a whole sequence, with one
    query and all keys so far it is the next step of a generation that reuses earlier results.
    # queries (Tq, hs), keys (Tk, hs), values (Tk, hs) → (Tq, hs)

    Args:
        causal: whether a query sees only the keys up to its own position, as in a GPT; otherwise it sees all keys.
    """

    def __init__(self, causal: bool = True) -> None:
        self.causal = causal

    def forward(
        self, queries: F.Matrix, keys: F.Matrix, values: F.Matrix, mask: F.Vector | None = None
    ) -> list[list[Value]]:
        """Let query i of Tq see the first Tk − Tq + i + 1 keys, or all, without those that ``mask`` (Tk) hides."""
        queries, keys, values = listed(queries), listed(keys), listed(values)
        if not self.causal:
            return [F.attend(query, keys, values, mask) for query in queries]
        past = len(keys) - len(queries)
        if past < 0 or len(keys) != len(values):
            raise ShapeError(
                f"attention needs as many values as keys and no more queries than keys; "
                f"got {len(queries)} queries, {len(keys)} keys, {len(values)} values"
            )
        ends = range(past + 1, len(keys) + 1)
        masks = [None if mask is None else mask[:end] for end in ends]
        return [F.attend(q, keys[:n], values[:n], m) for q, n, m in zip(queries, ends, masks, strict=True)]


class Attention(Module):
    """Attention with several heads that looks everywhere: at its own sequence, or at another one.  # (T, n) → (T, n)

    Args:
        features: the numbers per position, n; the heads share them.
        heads: how many; they must divide n.
        context_features: the numbers per position of the other sequence, for cross-attention.
        std: how far from 0 the weights start (see :class:`Linear`); those of the last layer too.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        context_features: int | None = None,
        *,
        std: float | None = None,
        rng: random.Random | int = 0,
    ) -> None:
        _check_sizes("Attention", features=features, heads=heads)
        if features % heads:
            raise ValueError(f"Attention: the heads must divide the features; got {features} features, {heads} heads")
        rng, context = generator(rng), features if context_features is None else context_features
        self.query = Linear(features, features, False, std=std, rng=rng)
        self.key = Linear(context, features, False, std=std, rng=rng)
        self.value = Linear(context, features, False, std=std, rng=rng)
        self.out = Linear(features, features, std=std, rng=rng)
        self.head = AttentionHead(causal=False)
        self.heads = heads

    def forward(self, x: F.Matrix, context: F.Matrix | None = None) -> list[list[Value]]:
        """Let every position of ``x`` gather from all of ``x``, or from all of ``context``."""
        seen = x if context is None else context
        queries, keys, values = (
            [*map(layer, rows)] for layer, rows in ((self.query, x), (self.key, seen), (self.value, seen))
        )
        size = len(queries[0]) // self.heads
        gathered: list[list[Value]] = [[] for _ in queries]
        for start in range(0, size * self.heads, size):
            q, k, v = ([row[start : start + size] for row in rows] for rows in (queries, keys, values))
            for row, more in zip(gathered, self.head(q, k, v), strict=True):
                row += more
        return [self.out(row) for row in gathered]


class TimeEmbedding(Module):
    """A moment between 0 and 1 as a vector: sines and cosines of it, mixed by two layers.               # () → (n)

    The frequencies are π/2, π, 2π, … : the slow ones say roughly when it is, the fast ones exactly (as for positions,
    Vaswani et al. 2017).
    """

    def __init__(self, features: int, frequencies: int = 6, *, rng: random.Random | int = 0) -> None:
        _check_sizes("TimeEmbedding", features=features, frequencies=frequencies)
        rng = generator(rng)
        self.frequencies = [math.pi / 2 * 2.0**i for i in range(frequencies)]
        self.mix = Linear(2 * frequencies, features, rng=rng)
        self.act = Activation("silu")
        self.out = Linear(features, features, rng=rng)

    def forward(self, time: Value | float) -> list[Value]:
        """Return the vector of one moment."""
        time = F.as_value(time)
        angles = [time * frequency for frequency in self.frequencies]
        return self.out(self.act(self.mix([wave for a in angles for wave in (a.sin(), a.cos())])))


class Modulation(Module):
    """From a vector that says what is wanted, ``count`` vectors that shift, scale and gate layers.  # (c) → (count, n)

    All start at 0, so that a block which adds its gated result begins as the identity: adaLN-zero (Peebles and Xie
    2023). Use the vectors with :func:`tinygrad_edu.functional.modulate` and :func:`~tinygrad_edu.functional.gated`.
    """

    def __init__(self, condition_features: int, features: int, count: int) -> None:
        _check_sizes("Modulation", condition_features=condition_features, features=features, count=count)
        self.act = Activation("silu")
        self.proj = Linear(condition_features, count * features, std=0.0)
        self.count = count

    def forward(self, condition: F.Vector) -> list[list[Value]]:
        """Return the vectors, in the order in which the layers use them."""
        made = self.proj(self.act(condition))
        size = len(made) // self.count
        return [made[start : start + size] for start in range(0, len(made), size)]


class Activation(Module):
    """One activation function applied to each element of a vector.                                   # (n) → (n)"""

    def __init__(self, name: str) -> None:
        self.name = name
        activation(name)  # an unknown name is an error here, not at the first call

    def forward(self, x: F.Vector) -> list[Value]:
        """Apply it element by element."""
        function = activation(self.name)
        return [function(F.as_value(v)) for v in F.vector(x, "an Activation")]


class Dropout(Module):
    """In training, set each element to 0 with probability p and scale the rest by 1 / (1 − p).  # (n) → (n)

    Srivastava et al. 2014, in the "inverted" form that leaves evaluation untouched.
    """

    def __init__(self, p: float, *, rng: random.Random | int = 0) -> None:
        p = as_float(p)
        if not 0.0 <= p < 1.0:
            raise ValueError(f"dropout p must be at least 0 and below 1, got {p!r}")
        self.p = p
        self._rng = generator(rng)

    def forward(self, x: F.Vector) -> list[Value]:
        """Return the vector itself in evaluation, or with p = 0."""
        values = [F.as_value(v) for v in F.vector(x, "Dropout")]
        if not self.training or self.p == 0.0:
            return values
        return [v * F.dropout_factor(self.p, self._rng) for v in values]
