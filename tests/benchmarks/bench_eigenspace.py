"""How fast is `Eigenspace.fit`, beside scikit-learn's PCA and beside the lecture's covariance, pair by pair?

Run as ``python tests/benchmarks/bench_eigenspace.py``; it takes several minutes and some 4 GB of memory. The
promises: in float64 not slower than the fastest solver of PCA; at least 20 times faster than the covariance
as the lecture writes it, at 400 images of 10304 pixels. A broken promise makes the exit status 1.

Contenders run in turns, the order reversed from round to round, and are compared within a round, so that a
machine that slows down meets both. Numbers are medians; behind a ratio stand its quartiles over the rounds.
"""

import sys
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_info

from gennet.eigenspace import Eigenspace

SOLVERS = ["full", "covariance_eigh", "randomized", "arpack"]
PROBLEMS = [  # images, pixels, components (None: all), rounds
    (200, 625, 32, 41),
    (200, 625, None, 41),
    (400, 4096, 32, 21),
    (400, 4096, None, 21),
    (60000, 784, 32, 15),
]
FASTER_THAN_LECTURE = 20


def faces(images: int, pixels: int, seed: int = 0) -> np.ndarray:
    """Make vectors as correlated as pixels of faces are: a few strong directions, many weak, and noise."""
    rng = np.random.default_rng(seed)
    strengths = np.geomspace(1, 0.01, 100)
    directions = rng.standard_normal((100, pixels)) / np.sqrt(pixels)
    X = rng.standard_normal((images, pixels))
    X *= 0.002
    X += 0.5
    X += (rng.standard_normal((images, 100)) * strengths) @ directions
    return X


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def first_look(work: Callable[[], object]) -> float:
    """Return the best of three runs, or the only one if it is long."""
    once = seconds(work)
    return once if once > 1 else min(once, seconds(work), seconds(work))


def in_turns(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    times = {name: np.empty(rounds) for name in works}
    for turn in range(rounds):
        for name in list(works)[:: 1 if turn % 2 else -1]:
            times[name][turn] = seconds(works[name])
    return times


def quartiles(ratios: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return low, middle, high


def against_scikit_learn(dtype: type) -> bool:
    """Print a table and say whether `Eigenspace` is nowhere slower."""
    print(f"\n{np.dtype(dtype)}: milliseconds of one fit (in brackets: a first look, far behind)\n")
    print("images pixels kept   gennet", *(f"{name:>15}" for name in SOLVERS), "  gennet / fastest")
    nowhere_slower = True
    for images, pixels, kept, rounds in PROBLEMS:
        X = faces(images, pixels).astype(dtype, copy=False)
        works = {"gennet": partial(Eigenspace(n_components=kept).fit, X)}
        for solver in SOLVERS:
            number = kept or images - 1
            works[solver] = partial(PCA(n_components=number, svd_solver=solver, random_state=0).fit, X)
        looks = {solver: first_look(works[solver]) for solver in SOLVERS}
        far = {solver for solver in SOLVERS if looks[solver] > 3 * min(looks.values())}
        times = in_turns({name: works[name] for name in works if name not in far}, rounds)
        medians = {name: np.median(values) for name, values in times.items()}
        fastest = min(times.keys() - {"gennet"}, key=medians.get)
        low, middle, high = quartiles(times["gennet"] / times[fastest])
        slower = low > 1  # in more than three quarters of the rounds: more than noise
        nowhere_slower &= not slower
        print(
            f"{images:6} {pixels:6} {kept or images - 1:4} {1000 * medians['gennet']:8.1f}",
            *(
                f"({1e3 * looks[s]:.0f})".rjust(15) if s in far else f"{1e3 * medians[s]:15.1f}"
                for s in SOLVERS
            ),
            f"  {middle:.2f} [{low:.2f}, {high:.2f}] of {fastest}{'  SLOWER' if slower else ''}",
        )
    return nowhere_slower


def as_the_lecture_writes_it(X: np.ndarray) -> float:
    """Sum the covariance of each pair of pixels, then decompose; return the seconds that the sums took."""
    start = time.perf_counter()
    V = (X - X.mean(axis=0)).T  # N x M
    Sigma = np.empty((len(V), len(V)))
    for i in range(len(V)):
        Sigma[i] = V @ V[i] / V.shape[1]  # the sums over the images of all pairs (i, j)
    sums = time.perf_counter() - start
    np.linalg.eigh(Sigma)
    return sums


def against_the_lecture() -> bool:
    images, pixels = 400, 10304
    X = faces(images, pixels)
    print(
        f"\nCovariance pair by pair, then its eigenvectors, {images} images of {pixels} pixels: one run ..."
    )
    start = time.perf_counter()
    sums = as_the_lecture_writes_it(X)
    theirs = time.perf_counter() - start
    ours = np.array([seconds(partial(Eigenspace().fit, X)) for _ in range(9)])
    low, middle, high = quartiles(theirs / ours)
    print(f"  as the lecture writes it {theirs:.1f} s, {sums:.1f} s of them for the sums")
    print(f"  gennet, all {images - 1} components, {np.median(ours):.2f} s", end="")
    print(f": {middle:.0f} [{low:.0f}, {high:.0f}] times faster")
    return middle >= FASTER_THAN_LECTURE


def growth(what: str, shapes: list[tuple[int, int]], solver: str, lecture_up_to: int) -> None:
    """Print the times of problems of growing size, and the exponents of powers fitted to them."""
    axis = ["images", "pixels"].index(what)
    print(f"\nSeconds of one fit, all components, {shapes[0][1 - axis]} {['pixels', 'images'][axis]}\n")
    print(f"{what:>8}{'gennet':>20}{'PCA ' + solver:>20}{'lecture':>20}")
    table = []
    for shape in shapes:
        X = faces(*shape)
        works = {"gennet": partial(Eigenspace().fit, X), "PCA": partial(PCA(svd_solver=solver).fit, X)}
        if shape[axis] <= lecture_up_to:
            works["lecture"] = partial(as_the_lecture_writes_it, X)
        medians = [np.median(times) for times in in_turns(works, 5).values()]
        table.append(medians + [np.nan] * (3 - len(medians)))
        print(
            f"{shape[axis]:8}" + "".join(f"{'not run' if np.isnan(t) else f'{t:.4f}':>20}" for t in table[-1])
        )
    size = np.log([shape[axis] for shape in shapes])
    columns = np.log(np.array(table)).T
    powers = [np.polyfit(size[np.isfinite(t)], t[np.isfinite(t)], 1)[0] for t in columns]
    print(f"{'exponent':>8}" + "".join(f"{power:20.2f}" for power in powers))


def main() -> int:
    warnings.simplefilter("ignore")
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    print("BLAS:", *(f"{p['internal_api']} {p['version']}, {p['num_threads']} threads;" for p in pools))
    kept = {
        "not slower than the fastest solver of PCA": against_scikit_learn(np.float64),
        f"{FASTER_THAN_LECTURE} times faster than the lecture's covariance": against_the_lecture(),
    }
    against_scikit_learn(np.float32)
    print("No promise in float32: gennet computes in float64 all the same (see the notes of Eigenspace).")
    growth("pixels", [(400, 500 * 2**k) for k in range(5)], "full", lecture_up_to=2000)
    growth("images", [(2000 * 2**k, 784) for k in range(5)], "covariance_eigh", lecture_up_to=4000)
    print()
    for promise, holds in kept.items():
        print(f"{'kept' if holds else 'BROKEN'}: {promise}")
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
