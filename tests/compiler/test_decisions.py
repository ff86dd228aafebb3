"""Programs that branch on their arguments in every way Python offers: they match the eager engine or are refused."""

from __future__ import annotations

import copy
import datetime
import decimal
import itertools
import json
import linecache
import os
import random
import secrets
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit, nn
from tinygrad_edu.compiler.frontend.tracers import Float, Index, Plain, Tracer
from tinygrad_edu.errors import CompileError

HEADER = """
import array, bisect, collections, contextlib, copy, ctypes, datetime, decimal
import fractions, functools, heapq, itertools, json, marshal, math
import numbers, operator, pickle, re, statistics, struct, sys, threading, typing
import numpy as np
from tinygrad_edu import Value
import collections.abc
LESS = float.__lt__
"""

#: Questions about one number v: an argument, or something computed from it.
OF_ANY = """
v|not v|bool(v)|v > 0|0 >= v|v < w|v <= 0.5 < 2|v == 1.0|1.0 == v|v != 0|v != v|v is v|v in (0.0, 1.0)|v in {0.0, 1.0}
v == None|v == 'text'|v in [None, 'auto']|v == w|w == v|v == np.array([1.0])
1.0 in [v]|[0.5, 1.0].count(v)|(v, 2).index(2) == 1|[v] == [1.0]|(v, 1) < (0.5, 2)|any([v])|all([v, 1.0])
{1.0: 7}.get(v)|{v: 7}.get(1.0)|len({v, 1.0}) == 1|hash(v) % 2|collections.Counter([v, 1.0])[1.0] == 2
sorted([v, 0.5])[0] == 0.5|max(v, 0.5) == 0.5|min([v, 0.5]) == 0.5|max([0, 1], key=lambda i: i * v)
heapq.nsmallest(1, [v, 0.5]) == [0.5]|bisect.bisect([0.0, 1.0], v)|functools.reduce(max, [v, 0.5]) == 0.5
list(filter(None, [v]))|list(itertools.takewhile(bool, [v]))|list(itertools.compress([1], [v]))|operator.lt(v, 1)
list(itertools.groupby([v, 1.0])) == 1|operator.truth(v)|operator.contains([1.0], v)
str(v)[0] == '-'|repr(v).find('1.0') >= 0|f'{v:.0f}' == '1'|f'{v}' == '1.0'|'%.0f' % v == '1'|'{:g}'.format(v) == '1'
'%s' % (v,) == '1.0'|str([v]) == '[1.0]'|re.search('-', str(v))|ascii(v)[0] == '-'|print(v, end='') or str(v) == '1.0'
float(v) > 0|int(v) > 0|complex(v).real > 0|round(v) > 0|round(v, 1) == 1.0|math.floor(v)|math.ceil(v)|math.trunc(v)
v % 2|7 % v|v // 1|1 // (abs(v) + 1)|divmod(v, 2)[0]|divmod(5, abs(v) + 1)[1]|math.fmod(v, 2)|v.__mod__(2)|v.__bool__()
math.exp(v) > 1|math.isclose(v, 1.0)|math.isnan(v)|math.copysign(1, v) > 0|math.fsum([v, 1.0]) > 1
math.hypot(v, 1) > 1.2
v.is_integer()|v.as_integer_ratio()[0] > 0|v.hex()[0] == '-'|v.real > 0|v.imag == 0|v.conjugate() > 0|v.bit_length() > 1
hasattr(v, 'is_integer')|hasattr(v, 'bit_length')|hasattr(v, 'shape')|hasattr(v, '__len__')|getattr(v, 'real', 0) == 1
isinstance(v, float)|isinstance(v, int)|isinstance(v, numbers.Real)|isinstance(v, (list, tuple))
isinstance(v, numbers.Number)
isinstance(v, Value)|hasattr(v, 'tanh')|getattr(v, 'exp', None)|hasattr(v, 'backward')|isinstance(v ** 0.5, complex)
v.__class__ is float|v.__class__.__name__ == 'Value'|hasattr(v, 'label')
isinstance(v, bool)|isinstance(v, str)|callable(v)|functools.singledispatch(lambda a: 1)(v)
statistics.median([v, 0.0, 1.0]) == 1.0|statistics.mean([v, 1.0]) > 0.5|fractions.Fraction(v) > 0
fractions.Fraction(1) == v|decimal.Decimal(1) == v|np.float64(1) == v|np.array([0.0, 1.0])[1] == v
np.sign(v) > 0|np.isnan(v)|np.isfinite(v)|np.float64(v) > 0|np.array([v], float)[0] > 0|np.round(v) == 1|np.floor(v) > 0
np.where(v, 1, 0)|np.argmax([v, 0.5])|np.argsort([v, 0.5])[0]|np.max([v, 0.5]) == 0.5|np.any([v])
np.maximum(v, 0.5) == 0.5
np.sort([v, 0.5])[0] == 0.5|np.isclose(v, 1.0)|np.array([v]).astype(int)[0]|np.unique([v, 1.0]).size == 1|np.mod(v, 2)
np.searchsorted([0.0, 1.0], v)|np.array([v]) == 1.0|np.count_nonzero([v])|np.exp(v) > 1|np.clip(v, 0, 1) == 1
type(v) is float|type(v) == float|type(v) in (int, float)|{float: 1}.get(type(v))|type(v).__name__ == 'Value'
issubclass(type(v), float)|list(map(type, [v])) == [float]|type(v)(2) == 2|'float' in str(type(v))|type(type(v)) is type
json.dumps([v]) == '[1.0]'|decimal.Decimal(v) > 0|decimal.Decimal.from_float(v) > 0|marshal.dumps(v)[0] % 2
datetime.timedelta(seconds=v).days|float.is_integer(v)|float.hex(v)|int.bit_length(v) > 1|ctypes.c_double(v).value > 0
datetime.timedelta(1) * v|sys.getsizeof(v) == sys.getsizeof(1.0)|'tanh' in dir(v)|len(v)|iter(v)|v[0]|v + 'a'|v()
1 / v > 1|(v ** -1, 1)|(v / v, 0)|v.tanh()|v.log()
pickle.dumps(v)[9] % 2|struct.pack('d', v)[7] > 64|array.array('d', [v])[0] > 0
(0.5).__lt__(v)|(1).__lt__(v)|float.__eq__(1.0, v)|(2.0).__mul__(v)|(7).__and__(v)|complex(1).__eq__(v)|LESS(0.5, v)
(0.5).__lt__(v) is NotImplemented|getattr(0.5, '__lt__')(v)|operator.methodcaller('__gt__', v)(0.5)
object.__hash__(v) % 2
hasattr(v, '__index__')|hasattr(v, '__mod__')|hasattr(v, '__or__')|hasattr(v, '__bool__')|hasattr(v, '__array_ufunc__')
isinstance(v, typing.SupportsIndex)|isinstance(v, typing.SupportsFloat)|isinstance(v, typing.SupportsComplex)
isinstance(v, typing.SupportsRound)|isinstance(v, collections.abc.Hashable)|isinstance(v, numbers.Integral)
hasattr(v, 'id')|hasattr(v, 'body')|hasattr(v, 'kind')|isinstance(v, collections.abc.Sized)
np.array(xs).dtype == float|np.array([v]).dtype.kind == 'f'|np.asarray(v).itemsize == 8|np.array([xs]).strides[0] == 16
eval('type(v)', {'v': v}) is float|__import__('builtins').type(v) is float|__builtins__['type'](v) is float
copy.copy(v) == 1.0|copy.deepcopy([v]) == [1.0]|operator.eq(v, 1.0)|operator.mod(v, 2)|list(map(float, [v]))[0] > 0
w.data > 0|float(w) > v|w > 0|str(w) == str(v)|round(w) > v|f'{w:.1f}' == f'{v:.1f}'|w.grad == v|bool(w) and v
"""
#: Questions about integers, too.
OF_INTEGERS = """
[0, 1, 2, 3][v]|'0123'[v] == '1'|(5, 6, 7, 8).__getitem__(v) == 6|range(v)|list(range(v, 2))|xs[:v]|xs[v:]|[0] * v
v * [0]
list(itertools.islice(xs, v))|list(itertools.repeat(0, v))|'a' * v|b'a' * v|chr(65 + v) == 'B'|bin(v) == '0b1'
hex(v)[-1] == '1'
bytes(v)|operator.index(v)|v & 1|1 & v|operator.or_(v, 1)|v ^ 1|v >> 1|v << 1|~v == -2|pow(v, 2, 3) == 1
v.bit_length() == 1|v.bit_count()
v.to_bytes(2, 'big')[1] == 1|{0: 0, 1: 1}.get(v, 2)|math.comb(3, v) == 3|math.gcd(v, 2) == 2|math.factorial(v) > 1
list(enumerate(xs, v))[0][0] == 1|np.arange(v).size|np.zeros(v).size|np.array([0, 1, 2, 3])[v]|divmod(v, 2)[1]
v.numerator
np.eye(4)[v][1]|np.take([0, 1, 2, 3], v)|w if v else 0|isinstance(v, int) and v|int(v) == 1|v // 2
"""
NUMBERS = ["x", "x * 2 - 1", "x / 2", "-x", "abs(y)", "xs[0]", "xs[1] ** 2", "sum(xs)", "w * x", "(w * x - y).tanh()"]
NUMBERS += ["(w * x - y).data", "max(x, y, 0.25)"]
INTEGERS = ["k", "k + 1", "ks[0]", "k * 1"]

FORMS = [
    "return w * x if {q} else w * (y + 2)",
    "if {q}:\n  return w * x\n return w * y - 3",
    "try:\n  r = w * x if {q} else w * y * 3\n except Exception:\n  r = w * 0\n return r",
    "try:\n  r = w * x if {q} else w * y * 3\n except:\n  r = w * 0\n return r",
    "r = w * y\n with contextlib.suppress(Exception):\n  r = r * 2 if {q} else r * 3\n return r",
    "r = None\n try:\n  r = w * 2 if {q} else w * 3\n finally:\n  return r if r is not None else w",
    "n = 0\n while n < 3 and {q}:\n  n += 1\n return w * (n + 1)",
    "try:\n  assert {q}\n  return w * x\n except AssertionError:\n  return w * y",
    "return [w * x, w * y][bool({q})]",
    "return sum([w * u for u in xs if {q}], w)",
    "return w * (1.0 if not ({q}) else -1.0) + x",
    "match bool({q}):\n  case True:\n   return w * x\n  case _:\n   return w * y + 1",
    "return {{True: w * x, False: w * 7}}[bool({q})]",
    "def f(n):\n  return w if n == 0 or not ({q}) else f(n - 1) * 2\n return f(3)",
    "return (lambda flag: w * x * flag + w)(1.0 if {q} else 0.0)",
]
WHOLE = [
    "match {v}:\n  case 1.0:\n   return w * 2\n  case float():\n   return w * 3\n  case _:\n   return w * 4",
    "match {v}:\n  case int():\n   return w * 2\n  case float(u):\n   return w * u\n  case _:\n   return w * 4",
    "match {v}:\n  case Value():\n   return w * 2\n  case float():\n   return w * 3\n  case _:\n   return w * 4",
    "match [{v}, 1]:\n  case [0 | 1, 1]:\n   return w * 2\n  case [_, 1]:\n   return w * 3",
    "match {{'a': {v}}}:\n  case {{'a': 2.0}}:\n   return w * 2\n  case {{'a': u}}:\n   return w * u",
    "n = {v}\n while n < 10:\n  n = abs(n) * 2 + 1\n return w * n",
    "try:\n  n = 3 % {v}\n except Exception:\n  n = 5\n return w * n",
    "try:\n  n = math.log({v})\n except ValueError:\n  n = 0.0\n return w * n",
    "try:\n  return w / {v}\n except ZeroDivisionError:\n  return w * 0",
    "try:\n  r = 1 / {v}\n except Exception:\n  r = 5.0\n return w * r",
    "with contextlib.suppress(ArithmeticError):\n  return (w * {v}) ** -1\n return w * 9",
    "try:\n  return (w * {v}).log()\n except ValueError:\n  return w * 0",
    "try:\n  return (w * {v}).sqrt() + w\n except:\n  return w * 0",
    "try:\n  n = {v}.tanh()\n except AttributeError:\n  n = 7.0\n return w * n",
    "@contextlib.contextmanager\n def quiet():\n  try:\n   yield\n  except Exception:\n   pass\n"
    " with quiet():\n  return w / {v}\n return w * 3",
    "def f():\n  try:\n   yield json.dumps({v})\n  except TypeError:\n   yield ''\n return w * len(next(f()))",
    "while True:\n  try:\n   return w * 2 if {v} > 0.5 else w * 3\n  except:\n   pass",
    "class A(metaclass=type):\n  kind = type({v})\n return w * (2 if isinstance(A, type) and A.kind is float else 3)",
    "xs.sort()\n return w * xs[0] + xs[1] * 2 + {v}",
    "for u in sorted([{v}, y]):\n  w = w * u\n return w",
    "return w * (({v}) or 5.0)",
    "return w * (({v}) and 5.0)",
    "return w * float({v})",
    "return w * round({v})",
    "return w * int({v})",
    "return w * abs({v}) + ({v}) ** 2",
    "return w * max({v}, 0.5)",
    "return w * math.sqrt(abs({v}))",
    "return w * copy.deepcopy([{v}])[0] + copy.copy({v})",
    "return w * np.tanh(w * {v})",
    "return w * np.array([{v}, 2.0]).sum()",
    "return w * np.dot([{v}, 1.0], [2.0, {v}])",
    "return w * np.mean([{v}, x]) + np.float64(2) * ({v}) + ({v}) * np.float32(2)",
    "return w * np.abs({v}) + np.square({v}) - np.negative({v})",
    "r = w\n r += {v}\n r *= {v}\n r -= 1\n return r",
    "return w * math.prod([{v}, 2.0]) + functools.reduce(operator.add, [{v}, y])",
    "return w * statistics.fmean([{v}, 2.0])",
]


def run(source: str) -> Callable[..., Any]:
    """Return the function in a program's text, with its own parameter."""
    name = f"<program {source}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    space: dict[str, Any] = {}
    exec(compile(source, name, "exec"), space)
    return space["program"]  # type: ignore[no-any-return]


EXAMPLES: list[tuple[list[float], list[float], list[list[float]], list[int], list[list[int]]]] = [
    (
        [1.0, 0.0, -2.5, 0.5],
        [0.0, 1.0, 2.0, -1.0],
        [[1.0, 2.0], [0.0, 1.0], [-1.0, 0.5], [0.5, -2.0]],
        [1, 0, 2, 1],
        [[1, 2], [0, 1], [2, 0], [0, 0]],
    ),
]


def outcome(body: str) -> str:
    """Return "equal", "refused", "skipped" if Python itself fails on some example, or what went wrong."""
    function = run(f"{HEADER}\ndef program(w, x, y, xs, k, ks):\n {body}\n")
    w = Value(1.5)
    examples = EXAMPLES[0]
    expected = []
    for row in zip(*examples, strict=True):
        try:
            result = function(w, *copy.deepcopy(row))
        except Exception:
            return "skipped"
        if not isinstance(result, Value):
            return "skipped"
        expected.append(result.data)
    try:
        got = jit(lambda *args: function(w, *args), [w], dtype="float64")(*examples)
    except CompileError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "equal" if np.allclose(got, expected, equal_nan=True) else f"wrong: {list(got)} for {expected}"


def questions(text: str) -> list[str]:
    return [q for line in text.split("\n") for q in line.split("|") if q]


def ask(question: str, number: str) -> str:
    """Make a question about a number called v."""
    return f"(lambda v: {question})({number})"


def bodies(rng: random.Random) -> Iterator[str]:
    """Yield every question about every number once, in random forms, then the programs that are a single question."""
    for question, number in itertools.product(questions(OF_ANY), NUMBERS + INTEGERS):
        yield rng.choice(FORMS).format(q=ask(question, number))
    for question, number in itertools.product(questions(OF_INTEGERS), INTEGERS):
        yield rng.choice(FORMS).format(q=ask(question, number))
    for whole, number in itertools.product(WHOLE, NUMBERS + INTEGERS):
        yield whole.format(v=f"({number})")


def survey(programs: list[str]) -> dict[str, list[str]]:
    """Return the programs by outcome."""
    found: dict[str, list[str]] = {}
    for body in programs:
        result = outcome(body)
        found.setdefault(result if result in ("equal", "refused", "skipped") else "wrong", []).append(
            f"{body}\n→ {result}"
        )
    return found


@pytest.mark.filterwarnings("ignore")  # the generated programs cause numpy warnings
def test_programs_that_branch_on_their_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(20)
    found = survey(rng.sample(list(bodies(rng)), 300))
    capsys.readouterr()
    assert "\n\n".join(found.get("wrong", [])) == ""
    assert len(found["equal"]) > 20
    assert len(found["refused"]) > 100


# --- one by one ------------------------------------------------------------------------------------------------------


def test_every_method_of_a_number_is_answered_or_refused() -> None:
    inherited = {"__class__", "__doc__", "__getformat__", "__getstate__", "__new__", "fromhex", "from_bytes"}
    w = Value(2.0)
    for kind, tracer, batch in ((float, Float, [1.0]), (int, Index, [1])):
        for name in set(dir(kind)) - set(dir(object)) - inherited:
            if name.startswith("__"):
                assert any(name in vars(cls) for cls in tracer.__mro__), name
            else:
                with pytest.raises(CompileError, match="only a number has that"):
                    jit(lambda x, name=name: w * x if hasattr(x, name) else w, [w])(batch)
    for name in ("__eq__", "__ne__", "__lt__", "__hash__", "__str__", "__repr__", "__format__", "__reduce_ex__"):
        assert name in vars(Tracer)
        assert name in vars(Plain)


@pytest.mark.parametrize(
    "question", ["x > 0", "bool(x)", "x == 1.0", "float(x)", "f'{x}'", "x % 2", "hash(x)", "x.hex()"]
)
def test_a_refusal_is_final(question: str) -> None:
    for form in FORMS[2:5]:
        body = form.format(q=question)
        assert outcome(body) == "refused"


def test_a_refusal_ends_an_endless_loop() -> None:
    assert (
        outcome("for _ in iter(int, 1):\n  try:\n   return w * x if x > -9 else w\n  except Exception:\n   pass")
        == "refused"
    )


@pytest.mark.parametrize("caught", ["Exception", "BaseException"])
def test_a_bare_handler_in_an_endless_loop_is_ended(caught: str) -> None:
    before = sys.gettrace()
    loop = "while True:\n  try:\n   return w if x > 0 else w * 2\n  except{}:\n   pass"
    assert outcome(loop.format("")) == outcome(loop.format(f" {caught}")) == "refused"
    inside = "def f():\n  try:\n   return w if x > 0 else w * 2\n  except:\n   return None\n "
    assert outcome(inside + loop.replace("w if x > 0 else w * 2", "f() * 1").format("")) == "refused"
    assert sys.gettrace() is before


@pytest.mark.parametrize("done", ["x > 0", "w * x"])
def test_a_refusal_in_a_thread_of_the_function_is_final(done: str) -> None:
    body = f"r = []\n t = threading.Thread(target=lambda: r.append({done}))\n t.start()\n t.join()\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda _: None)
        assert outcome(f"{body} return w * x if r and r[0] else w * 3") == "refused"
    assert jit(lambda x: x * 2)([1.5]).tolist() == [3.0]


def test_errors_that_plain_numbers_also_raise_may_be_caught() -> None:
    w = Value(2.0)

    def loss(x: Any) -> Any:
        for question in (
            lambda: iter(x),
            lambda: len(x),
            lambda: x[0],
            lambda: x + "a",
            lambda: int("a"),
            lambda: {}[1],
        ):
            try:
                question()
            except (TypeError, ValueError, KeyError):
                w2 = w * x / 2
        try:
            return w2 + (w * x) ** 2
        finally:
            del w2

    assert jit(loss, dtype="float64")([3.0]).tolist() == [loss(3.0).data]


def test_a_partial_operation_is_refused_where_its_error_is_caught() -> None:
    w = Value(2.0)

    def inverse(x: Any) -> Any:
        return w / x

    def loss(x: Any) -> Any:
        try:
            return inverse(x)  # here
        except ZeroDivisionError:
            return w

    with pytest.raises(CompileError, match=r"(?s)return w / x.*catches it at .*return inverse\(x\)  # here"):
        jit(loss)([1.0])
    with warnings.catch_warnings():
        assert jit(lambda x: inverse(x))([4.0]).tolist() == [0.5]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "try:\n  try:\n   r = w / x\n  finally:\n   y += 1\n except ZeroDivisionError:\n  r = w\n return r",
            "refused",
        ),
        ("try:\n  with contextlib.nullcontext():\n   return w / x\n except ZeroDivisionError:\n  return w", "refused"),
        ("try:\n  return sum([w / x for _ in xs], w)\n except ZeroDivisionError:\n  return w", "refused"),
        ("try:\n  return w / x\n except ZeroDivisionError:\n  return [w * u for u in xs][0]", "refused"),
        ("try:\n  return w / x\n except:\n  with contextlib.nullcontext():\n   y = 1\n return w * y", "refused"),
        ("try:\n  try:\n   return w / x\n  except:\n   raise KeyError\n except KeyError:\n  return w", "refused"),
        ("try:\n  return w / (x + 9)\n finally:\n  y = [u for u in xs]", "equal"),
        ("try:\n  try:\n   return w / (x + 9)\n  except:\n   raise\n finally:\n  y = 1", "equal"),
    ],
    ids=["finally", "with", "comprehension", "in handler", "with in handler", "other", "cleans up", "raises"],
)
def test_every_way_to_catch_an_error_is_recognized(body: str, expected: str) -> None:
    assert outcome(body) == expected


def test_functions_that_take_no_traced_number_are_explained() -> None:
    with pytest.raises(CompileError, match=r"Decimal\(x\).*\n.*compute it outside"):
        jit(lambda x: x * float(decimal.Decimal(x)))([1.0])
    with pytest.raises(CompileError, match=r"json.dumps\(x\).*\n.*compute it outside"):
        jit(lambda x: x * len(json.dumps(x)))([1.0])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("r = (w, t.dtype)[1]\n return w * x * r.itemsize", "equal"),
        ("for u in (t, t): r = u.dtype\n return w * x * r.itemsize", "equal"),
        ("return w * x * (2 if [u.dtype for u in (t, t)][1] == float else 3)", "equal"),
        ("u = np.array([x])\n r = (w, u.dtype)[1]\n return w * x * (2 if r == float else 3)", "refused"),
        ("u = 0.5\n r = (w, u.__lt__(x))[1]\n return w * x * (2 if r is True else 3)", "refused"),
        ("for u in (0.5, 0.5): r = u.__lt__(x)\n return w * x * (2 if r is True else 3)", "refused"),
        ("import builtins\n u = builtins\n r = (w, u.type(x))[1]\n return w * (2 if r is float else 3)", "refused"),
        ("return w * (2 if sys.modules['builtins'].type(x) is float else 3)", "refused"),
        (
            "class A(float):\n  def less(self, u):\n   return super().__lt__(u)\n"
            " return w * x * (2 if A(0.5).less(x) is True else 3)",
            "refused",
        ),
    ],
    ids=["array", "arrays", "comprehension", "traced", "method", "methods", "type", "module", "base"],
)
def test_the_variable_of_a_question_is_found_however_it_was_loaded(body: str, expected: str) -> None:
    # One instruction may load two variables, or store one and load another: Python 3.13 and newer.
    assert outcome(f"t = np.array([1.0, 2.0])\n {body}") == expected


ARRAY = np.array([[1.0, 2.0], [3.0, 4.0]])


def test_an_array_may_be_a_global() -> None:
    assert jit(lambda x: x * ARRAY[1, 0] + ARRAY.shape[0])([2.0]).tolist() == [8.0]


def test_type_is_restored_afterwards() -> None:
    jit(lambda x: x * (2 if type(x) is float else 3))([1.0])
    assert "type" not in globals()


def test_an_error_raised_from_a_refusal_is_replaced_by_the_refusal() -> None:
    def loss(x: Any) -> Any:
        try:
            return x if x > 0 else -x
        except TypeError as error:
            raise ValueError("bad data") from error

    with pytest.raises(CompileError, match="is compared"):
        jit(loss)([1.0])


CLOCKS: dict[str, Callable[..., Any]] = {"time": time.time, "urandom": os.urandom}
clock, DATE = time.perf_counter, datetime.date
RNG, GENERATOR, LEGACY = random.Random(1), np.random.default_rng(1), np.random.RandomState(1)
DRAW = RNG.random


@pytest.fixture(params=["alone", "with another thread"])
def company(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run another thread, or none."""
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    if request.param != "alone":
        thread.start()
    yield
    ends.set()
    if request.param != "alone":
        thread.join()


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize(
    "draw",
    [
        lambda: random.random(), lambda: random.shuffle([1, 2]), lambda: RNG.random(), lambda: DRAW(),
        lambda: RNG.gauss(),
        lambda: np.random.rand(), lambda: np.random.shuffle([1, 2]), lambda: GENERATOR.normal(), lambda: LEGACY.rand(),
        lambda: random.Random().random(), lambda: np.random.default_rng().random(), lambda: secrets.randbelow(2),
        lambda: random.SystemRandom().random(), lambda: os.urandom(1), lambda: uuid.uuid4(),
        lambda: nn.Linear(2, 2, rng=RNG), lambda: time.time(), lambda: time.monotonic_ns(), lambda: clock(),
        lambda: CLOCKS["time"](), lambda: DATE.today(), lambda: datetime.datetime.now(), lambda: uuid.uuid1(),
        lambda: CLOCKS["urandom"](1), lambda: time.localtime(), lambda: time.strftime("%H"),
        lambda: next(iter(DRAW, 2)),
    ],
)  # fmt: skip
def test_randomness_that_two_runs_do_not_reveal(draw: Any) -> None:
    w = Value(2.0)

    def loss(x: Any) -> Any:
        draw()  # has no effect here: both runs record the same
        return w * x

    with pytest.raises(CompileError, match=r"(?s)test_decisions.py:\d+: .*lambda.*frozen"):
        jit(loss, [w])([1.0])
    assert time.time() > 0
    assert random.Random().random() < 1
    assert uuid.uuid4() != uuid.uuid4()


def test_numbers_and_values_keep_their_types_inside_modules() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            self.w = Value(2.0)

        def forward(self, x: Any, k: Any) -> Any:
            doubled = [u * 2 if isinstance(u, Value) else u * 3 for u in x]
            return self.w * (doubled[0] if isinstance(x[0], float) else 5.0) * (k if isinstance(k, int) else 7.0)

    weighted, again = Weighted(), Weighted()

    def loss(x: Any, k: int) -> Any:
        return weighted([x * 1], k) + again([weighted.w * x], k + 1) * weighted([x], k * 0.5)

    for x, k in ((3.0, 2), (-1.5, 1)):
        assert jit(loss, dtype="float64")([x], [k]) == pytest.approx([loss(x, k).data])


def test_a_generator_seeded_at_every_call_is_not_random() -> None:
    w = Value(2.0)
    got = jit(lambda x: w * x * random.Random(5).random() * np.random.default_rng(5).random(), [w], dtype="float64")(
        [3.0]
    )
    assert got == pytest.approx([6.0 * random.Random(5).random() * np.random.default_rng(5).random()])


def test_a_call_that_always_returns_the_same_is_not_random() -> None:
    w = Value(2.0)
    for fact in (os.getpid, lambda: time.strftime("%H", time.gmtime(0)), lambda: DATE(2020, 1, 1), lambda: hash("a")):
        assert jit(lambda x, fact=fact: w * x if fact() else w)([1.0]).tolist() == [2.0]


def test_another_thread_may_draw_meanwhile() -> None:
    ends = threading.Event()

    def draws() -> None:
        while not ends.is_set():
            random.random(), np.random.rand()

    w = Value(2.0)
    thread = threading.Thread(target=draws)
    thread.start()
    try:
        for _ in range(10):
            assert jit(lambda x: w * x)([1.0]).tolist() == [2.0]
        with pytest.raises(CompileError, match="frozen"):
            jit(lambda x: w * x * RNG.random())([1.0])
    finally:
        ends.set()
        thread.join()


def test_all_objects_are_not_held_while_other_threads_run(monkeypatch: pytest.MonkeyPatch) -> None:
    thread_runs, ends = threading.Event(), threading.Event()

    def ordinary() -> None:
        thread_runs.set()
        ends.wait()

    thread = threading.Thread(target=ordinary)
    thread.start()
    thread_runs.wait()
    # A tuple that another thread makes from an iterator must not be seen: Python ends that thread with a SystemError.
    monkeypatch.setattr("gc.get_objects", lambda: pytest.fail("all objects are held"))
    try:
        assert jit(lambda x: x * 2)([1.0]).tolist() == [2.0]
    finally:
        ends.set()
        thread.join()


def test_another_thread_may_read_the_clock_meanwhile() -> None:
    times: list[float] = []

    def loss(x: Any) -> Any:
        thread = threading.Thread(target=lambda: times.append(time.time()))
        thread.start()
        thread.join()
        return x * 2

    jit(loss)([1.0])
    assert len(times) == 2


if __name__ == "__main__":  # the whole survey
    warnings.simplefilter("ignore")
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    everything = survey(list(bodies(random.Random(seed))))
    print("\n\n".join(everything.get("wrong", [])))
    print({name: len(programs) for name, programs in everything.items()})
