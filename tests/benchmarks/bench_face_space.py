"""How fast is `FaceDetector.distance_map`, beside cutting out one window after the other?

Run as ``python tests/benchmarks/bench_face_space.py``; it takes about a minute. The picture is scikit-image's
astronaut, 512 x 512, the window 25 x 25. The promise: with the detector's own number of components, the map
is at least 50 times faster than the leanest loop that we can write with NumPy, and equal to it to 1e-8. More
components, and the loop that calls `FaceDetector.distances`, are shown without a promise. A broken promise
makes the exit status 1.

The loop is timed on every 16th row of windows and its time multiplied; map and loop run in turns and are
compared within a round, so that a machine that slows down meets both. Behind a ratio stand its quartiles.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from skimage import color, data

from gennet import datasets
from gennet.face_space import FAINTEST, FaceDetector

FASTER_THAN_LOOP = 50
SIDE = 25
EVERY = 16
ROUNDS = 9


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def lean_loop(detector: FaceDetector, image: np.ndarray, rows: range) -> np.ndarray:
    """Subtract the light, bring to length 1, code, decode, sum the squares of the error: nothing else."""
    mean, basis = detector.space_.mean_, detector.space_.components_
    row, column = np.mgrid[:SIDE, :SIDE].reshape(2, -1) - (SIDE - 1) / 2
    light = np.stack(
        [np.full(SIDE * SIDE, 1 / SIDE), row / np.linalg.norm(row), column / np.linalg.norm(column)]
    )
    smallest = FAINTEST**2 * SIDE * SIDE
    columns = image.shape[1] - SIDE + 1
    distance = np.empty((len(rows), columns))
    for n, i in enumerate(rows):
        for j in range(columns):
            W = image[i : i + SIDE, j : j + SIDE].ravel()
            w = W - (light @ W) @ light
            energy = w @ w
            missing = energy <= smallest
            V = (0 if missing else w / np.sqrt(energy)) - mean
            R = V - (basis @ V) @ basis
            distance[n, j] = R @ R + missing
    return distance


def library_loop(detector: FaceDetector, image: np.ndarray, rows: range) -> np.ndarray:
    columns = image.shape[1] - SIDE + 1
    cut = lambda i, j: image[None, i : i + SIDE, j : j + SIDE]  # noqa: E731
    return np.array([[detector.distances(cut(i, j))[0] for j in range(columns)] for i in rows])


def main() -> int:
    faces = datasets.load("faces").x[:100].astype(float)
    image = color.rgb2gray(data.astronaut())
    rows = range(0, image.shape[0] - SIDE + 1, EVERY)
    whole = (image.shape[0] - SIDE + 1) / len(rows)
    promised = FaceDetector().n_components
    kept = True
    print(f"All windows of a picture of {image.shape[0]} x {image.shape[1]}; seconds, and times faster\n")
    print("components     map    loop  faster            largest difference")
    for D in (promised, 15, 30):
        detector = FaceDetector(D).fit(faces)
        detector.distance_map(image)
        ratios, maps, loops, difference = [], [], [], 0.0
        for _ in range(ROUNDS):
            fast, distance = min(
                (seconds(lambda d=detector: d.distance_map(image)) for _ in range(3)), key=lambda run: run[0]
            )
            slow, looped = seconds(lambda d=detector: lean_loop(d, image, rows))
            maps.append(fast)
            loops.append(whole * slow)
            ratios.append(whole * slow / fast)
            difference = max(difference, np.abs(distance[::EVERY] - looped).max())
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        print(
            f"{D:10} {np.median(maps):7.3f} {np.median(loops):7.2f}  {middle:3.0f} [{low:.0f}, {high:.0f}]"
            f"  {difference:20.1e}"
        )
        if promised == D:
            kept = middle >= FASTER_THAN_LOOP and difference < 1e-8
    few = range(0, image.shape[0] - SIDE + 1, 4 * EVERY)
    slow, _ = seconds(lambda: library_loop(FaceDetector().fit(faces), image, few))
    slow *= (image.shape[0] - SIDE + 1) / len(few)
    print(f"\nThe loop that calls FaceDetector.distances: about {slow:.0f} s\n")
    promise = f"{promised} components: at least {FASTER_THAN_LOOP} times faster, equal to 1e-8"
    print(f"{'kept  ' if kept else 'BROKEN'}  {promise}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
