"""Chapter 01 at full size: what a code costs on faces that were never seen (Crowley)."""

import numpy as np
from tqdm.auto import tqdm

from gennet import datasets
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
