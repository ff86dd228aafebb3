"""The tail of the normal distribution as a polynomial: numpy and the processor have no ``erf``."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

LARGEST = 26.0  # erfc of more than that is below the smallest double


@cache
def erfcx_polynomial(degree: int, largest: float) -> list[float]:
    """Return the coefficients, highest first, of e^(x²)·erfc(x) for 0 ≤ x ≤ ``largest`` as a polynomial in u.

    u runs from −1 to 1 as t = 2 / (2 + x) runs from its smallest value to 1: the substitution of Numerical Recipes
    6.2.2, in which the function is so smooth that interpolation at Chebyshev's points converges fast.
    """
    low = 2.0 / (2.0 + largest)

    def function(u: Any) -> Any:
        t = (u + 1.0) * 0.5 * (1.0 - low) + low
        x = 2.0 / t - 2.0
        return np.array([math.exp(v * v) * math.erfc(v) for v in x])

    series = np.polynomial.chebyshev.Chebyshev.interpolate(function, degree)
    return [float(c) for c in np.polynomial.chebyshev.cheb2poly(series.coef)[::-1]]
