"""The chapters' experiments at full size, on data that must be downloaded, and their stored results.

``python -m gennet.reproduce NAME`` runs an experiment and writes its numbers to ``data/results/NAME.json``,
from where a chapter reads them; the chapter's own switch runs the same function again. Results are numbers,
not pictures of people. One module for each chapter.
"""

import argparse
import json
import sys
from collections.abc import Callable

from gennet import datasets
from gennet.datasets.registry import shipped
from gennet.reproduce.adversarial import adversary_mnist
from gennet.reproduce.adversarial_training import gan_mnist, gan_remedies, gan_worlds
from gennet.reproduce.autoencoders import autoencoder_mnist, autoencoder_olivetti
from gennet.reproduce.bounds import bound_mnist
from gennet.reproduce.clusters import clusters_mnist, embeddings
from gennet.reproduce.conditional import conditional_mnist, recommender_movielens
from gennet.reproduce.conditional_adversarial import cgan_mnist
from gennet.reproduce.eigenspaces import eigenspace_olivetti
from gennet.reproduce.faces import face_space_olivetti, face_space_portraits
from gennet.reproduce.variational import vae_batches, vae_first_weights, vae_mnist

EXPERIMENTS: dict[str, Callable[[], dict]] = {
    experiment.__name__: experiment
    for experiment in (
        eigenspace_olivetti,
        face_space_portraits,
        face_space_olivetti,
        embeddings,
        clusters_mnist,
        autoencoder_olivetti,
        autoencoder_mnist,
        bound_mnist,
        vae_mnist,
        vae_batches,
        vae_first_weights,
        conditional_mnist,
        recommender_movielens,
        adversary_mnist,
        gan_worlds,
        gan_mnist,
        gan_remedies,
        cgan_mnist,
    )
}


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
