"""Functions that a check gives to an answer as arguments, or through which it looks at a result.

Stored cases hold no program: where a case needs a function, it names one of this module (`Given`), and an
output may be worked out by one of them (`stored.Output.derived`). Students can read them, so none may be the
answer to an exercise. They import no other room of the library (a sandbox has none), and PyTorch and SciPy
only inside a function that needs them: the first check of a session must not wait.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

FUNCTIONS: dict[str, Callable] = {}


def listed(function: Callable) -> Callable:
    """Enter the decorated function in the table, under its name."""
    FUNCTIONS[function.__name__] = function
    return function


class Given:
    """A function of this module as an argument of an answer; some of its parameters may be fixed.

    Parameters
    ----------
    name
        Of the function.
    fixed
        Parameters, by name: numbers, texts, arrays, lists and dictionaries of them.

    Raises
    ------
    ValueError
        If there is no such function here.

    Examples
    --------
    >>> quantile = Given("exponential_quantile", rate=2.0)
    >>> quantile, round(float(quantile(0.5, 0.5)), 6)
    (exponential_quantile(rate=2.0), 0.346574)
    """

    def __init__(self, name: str, **fixed: Any) -> None:
        if name not in FUNCTIONS:
            raise ValueError(f"Given: there is no function {name!r}; there are: {', '.join(FUNCTIONS)}.")
        self.name, self.fixed = name, fixed

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function."""
        return FUNCTIONS[self.name](*arguments, **named, **self.fixed)

    def __repr__(self) -> str:
        """Write it as it was made; of an array only the shape."""
        parts = [
            f"{name}={f'array of shape {value.shape}' if isinstance(value, np.ndarray) else repr(value)}"
            for name, value in self.fixed.items()
        ]
        return f"{self.name}({', '.join(parts)})"


# --------------------------------------------------------------------------------------------- arguments


@listed
def exponential_quantile(t, s, rate=1.0):
    """Return where an exponential law has the probability t below and s = 1 - t above (problem 68.1)."""
    return -np.log(s) / rate


@listed
def logistic_quantile(t, s):
    """Return where the logistic law has the probability t below and s = 1 - t above (problem 68.1)."""
    return np.log(t) - np.log(s)


@listed
def uniform_quantile(t, s):
    """Return where the uniform law on [0, 1] has the probability t below it (problem 68.1)."""
    return t


@listed
def power_slope(u, n=2):
    """Return the derivative of u to the power n, entry by entry (E20)."""
    return n * u ** (n - 1)


@listed
def wave_slope(u):
    """Return the derivative of u sin(u), entry by entry (E20)."""
    return np.sin(u) + u * np.cos(u)


@listed
def discriminator_move(D, f, p, rate=1.0):
    """Return answers D (n,) after one step of their logits up the value of the game with laws f, p (E14)."""
    logit = np.log(D) - np.log1p(-D) + rate * (f * (1 - D) - p * D) / (f + p)
    return 1 / (1 + np.exp(-logit))


@listed
def generator_move(p, D, rate=1.0):
    """Return a law (n,) with more mass where D is large: its masses times (1 - D)^-rate, as shares (E14)."""
    p = p / (1 - D) ** rate
    return p / p.sum()


# ------------------------------------------------------------------------------------------ through which


@listed
def projector(decoder):
    """Return the projector (N, N) onto the space that the columns of the decoder (N, H) span (E9)."""
    return decoder @ np.linalg.pinv(decoder)


@listed
def answers_that_count(D, f, g):
    """Return D where one of the laws f, g has mass; elsewhere, how far it lies outside [0, 1] (E10)."""
    return np.where(f + g > 0, D, np.nan_to_num(D - np.clip(D, 0, 1)))  # NaN is refused in D itself


@listed
def total(p):
    """Return the sum of the entries (E14)."""
    return np.sum(p)


@listed
def below_zero(p):
    """Return the least entry, or 0 if none is negative (E14)."""
    return min(np.min(p), 0.0)


@listed
def mean_answer(p, D):
    """Return the mean answer D that fakes of law p get (E14)."""
    return np.dot(p, D)
