"""The chapters' experiments at full size, on data that must be downloaded, and their stored results.

``python -m gennet.reproduce NAME`` runs an experiment and writes its numbers to ``data/results/NAME.json``,
from where a chapter reads them; the chapter's own switch runs the same function again. Results are numbers,
not pictures of people.
"""

import argparse
import json
import sys
from collections.abc import Callable

import numpy as np
from tqdm.auto import tqdm

from gennet import datasets
from gennet.datasets.registry import shipped
from gennet.eigenspace import Eigenspace


def eigenspace_olivetti() -> dict:
    """Chapter 01 on 400 photographs of 40 people: what a code costs on faces it has not seen (CR5 to CR8).

    An eigenspace is learnt from 8 photographs of each of 30 people and tried on three sets: those 240, the 2
    other photographs of the same people, and the 100 photographs of the 10 other people. This is repeated for
    ten random divisions of the people.

    Returns
    -------
    dict
        ``lengths``: numbers in the code, list of n; ``error``: for each set, "learnt from", "same people"
        and "other people" the mean error energy divided by the energy of the same images about the mean,
        lists of n; ``spread``: their standard deviations over the divisions.

    Raises
    ------
    DataError
        If the photographs are not on this machine and cannot be downloaded.
    """
    images = datasets.load("olivetti").x.astype(float)  # (400, 64, 64), ten of each person
    by_person = images.reshape(40, 10, 64, 64)
    lengths = [0, 1, 2, 4, 8, 15, 32, 64, 128, 239]
    divisions = []
    for seed in tqdm(range(10), desc="divisions", disable=None):
        people = np.random.default_rng(seed).permutation(40)
        known, other = by_person[people[:30]], by_person[people[30:]]
        groups = {"learnt from": known[:, :8], "same people": known[:, 8:], "other people": other}
        groups = {name: group.reshape(-1, 64, 64) for name, group in groups.items()}
        space = Eigenspace().fit(groups["learnt from"])
        divisions.append([_relative_errors(space, group, lengths) for group in groups.values()])
    mean, spread = np.mean(divisions, axis=0), np.std(divisions, axis=0)
    return {
        "lengths": lengths,
        "error": dict(zip(groups, mean.round(5).tolist(), strict=True)),
        "spread": dict(zip(groups, spread.round(5).tolist(), strict=True)),
    }


def _relative_errors(space: Eigenspace, images: np.ndarray, lengths: list[int]) -> list[float]:
    """Return mean error energy over mean energy for codes of each length."""
    energies = [space.residual_energy(images, n).mean() for n in lengths]
    return (np.array(energies) / energies[0]).tolist()


EXPERIMENTS: dict[str, Callable[[], dict]] = {"eigenspace_olivetti": eigenspace_olivetti}


def stored(name: str) -> dict:
    """Read the stored result of an experiment.

    Raises
    ------
    ValueError
        If there is no experiment of this name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(_unknown(name))
    return json.loads(shipped(f"results/{name}.json").read_text(encoding="utf-8"))


def _unknown(name: str) -> str:
    return f"There is no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}."


def main(arguments: list[str] | None = None) -> int:
    """Run experiments by name, or all of them, and store their results."""
    parser = argparse.ArgumentParser(prog="python -m gennet.reproduce", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}; all if none")
    names = parser.parse_args(arguments).names or list(EXPERIMENTS)
    for name in names:
        if name not in EXPERIMENTS:
            print(_unknown(name), file=sys.stderr)
            return 2
    folder = shipped("registry.toml").parent / "results"
    for name in names:
        try:
            result = EXPERIMENTS[name]()
        except datasets.DataError as error:
            print(error, file=sys.stderr)
            return 1
        folder.mkdir(exist_ok=True)
        draft = folder / f"{name}.json.part"
        draft.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        draft.replace(folder / f"{name}.json")
        print(f"{name}: written to {folder / name}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
