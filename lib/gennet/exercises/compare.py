"""When two answers count as the same: up to rounding, and up to what the mathematics leaves free.

Each comparison takes the expected and the given array, of equal shape, and returns the place of the first
entry that differs, or nothing. It knows neither the exercise nor the reference, so that it can judge in a
student's notebook and in a grader alike. Freedom that several results share, or that depends on the input, is
left to derived outputs (`gennet.exercises.declare`).
"""

from collections.abc import Callable

import numpy as np

TOLERANCE = 3e-5  # of the largest expected entry, or of 1: float32 passes, four decimals do not

Place = tuple[int, ...]


def close(expected: np.ndarray, given: np.ndarray, tolerance: float = TOLERANCE) -> Place | None:
    """Entry by entry, up to rounding.

    >>> close(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    (1,)
    """
    finite = expected[np.isfinite(expected)]
    margin = tolerance * max(1.0, np.abs(finite).max(initial=0.0))
    different = ~np.isclose(given, expected, rtol=0, atol=margin, equal_nan=True)
    return tuple(map(int, np.argwhere(different)[0])) if different.any() else None


def signs(expected: np.ndarray, given: np.ndarray, tolerance: float = TOLERANCE) -> Place | None:
    """Up to the sign of each column, as for eigenvectors.

    >>> signs(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[-1.0, 2.0], [-3.0, 4.0]]))
    """
    flip = np.where((expected * given).sum(axis=0) < 0, -1, 1)
    return close(expected, given * flip, tolerance)


def row_signs(expected: np.ndarray, given: np.ndarray, tolerance: float = TOLERANCE) -> Place | None:
    """Up to the sign of each row."""
    place = signs(expected.T, given.T, tolerance)
    return place and place[::-1]


def order(expected: np.ndarray, given: np.ndarray, tolerance: float = TOLERANCE) -> Place | None:
    """Up to the order of the rows (of the entries, in one dimension); each counts as often as it occurs.

    >>> order(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[3.0, 4.0], [1.0, 2.0]]))
    """
    from scipy.optimize import linear_sum_assignment

    pairs = [[close(row, other, tolerance) is not None for other in given] for row in expected]
    rows, partners = linear_sum_assignment(np.array(pairs, dtype=float).reshape(len(expected), len(given)))
    missing = [row for row, partner in zip(rows, partners, strict=True) if pairs[row][partner]]
    return (int(missing[0]), *(0,) * (expected.ndim - 1)) if missing else None


def law(expected: np.ndarray, given: np.ndarray, tolerance: float = 1e-5) -> Place | None:
    """Draws from the same law: the two-sample test of Kolmogorov and Smirnov on every column.

    Rows are independent draws. `tolerance` is the probability, a column, that a right answer is refused.
    """
    from scipy.stats import ks_2samp

    columns = zip(expected.reshape(len(expected), -1).T, given.reshape(len(given), -1).T, strict=True)
    for number, (draws, others) in enumerate(columns):
        if not ks_2samp(draws, others).pvalue > tolerance:
            return (0, *map(int, np.unravel_index(number, expected.shape[1:])))
    return None


def anything(expected: np.ndarray, given: np.ndarray, tolerance: float = 0) -> Place | None:
    """Whatever the entries are: a derived output looks at them."""
    return None


COMPARISONS: dict[str, Callable[..., Place | None]] = {
    "close": close,
    "signs": signs,
    "row signs": row_signs,
    "order": order,
    "law": law,
    "anything": anything,
}


def difference(expected: np.ndarray, given: np.ndarray, same: str, tolerance: float | None) -> Place | None:
    """Return the place of the first entry in which `given` differs, or nothing; shapes must be equal."""
    if "U" in (expected.dtype.kind, given.dtype.kind):  # text
        return None if np.array_equal(expected, given) else (0,) * expected.ndim
    with np.errstate(all="ignore"):
        expected, given = (a.astype(complex if a.dtype.kind == "c" else float) for a in (expected, given))
        options = {} if tolerance is None else {"tolerance": tolerance}
        return COMPARISONS[same](expected, given, **options)
