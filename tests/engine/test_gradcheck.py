"""The checker itself: it accepts correct gradients and, above all, rejects wrong ones."""

import math

import pytest

from tinygrad_edu import Value, central_difference, gradcheck, ops
from tinygrad_edu.engine import apply
from tinygrad_edu.errors import GradientCheckError, TinygradEduError


def test_central_difference_of_known_functions():
    assert central_difference(lambda x: x.exp(), [1.0], 0) == pytest.approx(math.e, rel=1e-9)
    assert central_difference(lambda x, y: x * x * y, [3.0, 2.0], 1) == pytest.approx(9.0, rel=1e-9)
    assert central_difference(lambda x: x * x, [1e6], 0) == pytest.approx(2e6, rel=1e-9)
    assert central_difference(lambda x: x**3, [1.0], 0, step=0.5) == pytest.approx(3.25)  # 3 + h²


@pytest.mark.parametrize("index", [2, -1])
def test_an_input_index_out_of_range(index):
    with pytest.raises(IndexError, match=rf"index {index} is out of range for 2 inputs \(0 to 1\)"):
        central_difference(lambda x, y: x * y, [1.0, 2.0], index)


def test_right_gradients_pass():
    gradcheck(lambda x, y: (x * y + y / x).tanh(), [0.7, -0.4])
    gradcheck(lambda x, y: x * 2.0, [1.0, 5.0])  # an input that is not used
    gradcheck(lambda x: x, [1.0])


def wrong(derivative):
    """A square with a wrong derivative."""
    return ops.Op("square", "^2", 1, lambda a: a * a, derivative, "a**2", ("2 * a",))


@pytest.mark.parametrize(
    "derivative",
    [
        lambda a, out: (a,),
        lambda a, out: (-2.0 * a,),
        lambda a, out: (2.0 * a + 1e-4,),
        lambda a, out: (0.0,),
        lambda a, out: (math.nan,),
        lambda a, out: (math.inf,),
    ],
    ids=["half", "sign", "slightly", "zero", "nan", "inf"],
)
def test_wrong_gradients_are_named(derivative):
    op = wrong(derivative)
    with pytest.raises(
        GradientCheckError, match=r"input 1 at 3\.0: backward\(\) says .* the central difference says 6\."
    ):
        gradcheck(lambda x, y: x + apply(op, y), [1.0, 3.0])


def test_its_error_is_an_assertion_error_and_our_own_error():
    assert issubclass(GradientCheckError, AssertionError)
    assert issubclass(GradientCheckError, TinygradEduError)


def test_a_missing_part_of_a_gradient_is_found():
    def forgets(x):
        return x * Value(x.data)  # the second x was read as a number: half of the gradient is lost

    with pytest.raises(GradientCheckError, match=r"input 0 at 2\.0: backward\(\) says 2\.0"):
        gradcheck(forgets, [2.0])
