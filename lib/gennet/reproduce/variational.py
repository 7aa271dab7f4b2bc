"""Chapter 06 at full size: Example 68.1 on MNIST, the size of a batch, and what the first weights decide.

All trainings run in float32 on one thread, where their last digits differ from machine to machine: what is
stored are means over thousands of images. An experiment that was stopped goes on when it is called again: its
states lie in the folder for temporary files until it is finished.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from gennet import datasets
from gennet.eigenspace import Eigenspace
from gennet.training import train_vae
from gennet.vae import VAE, divergence, neighbour_score, sheet

Images = NDArray[np.floating]

PASSES = {1: 3, 10: 5, 100: 16}  # by size of the batch: what is affordable


class Digits(NamedTuple):
    """MNIST as Example 68.1 takes it: pixels in [0, 1], minus the mean of the training images."""

    X: Tensor
    y: NDArray[np.int64]
    X_test: Tensor
    y_test: NDArray[np.int64]
    mean: Tensor


def centred_mnist(images: int = 60_000, tests: int = 10_000) -> Digits:
    """Return the first training and test images, ``(M, 784)``, float32.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    mnist = datasets.load("mnist")
    train, test = mnist.split("train"), mnist.split("test")
    X = torch.from_numpy(train.x[:images].reshape(-1, 784))
    X_test = torch.from_numpy(test.x[:tests].reshape(-1, 784))
    mean = X.mean(dim=0)
    return Digits(X - mean, train.y[:images], X_test - mean, test.y[:tests], mean)


def of_the_example(seed: int) -> VAE:
    """Return a model of Example 68.1: 784-512-512-4 and 2-512-512-784 (68.80); first weights by a seed."""
    torch.manual_seed(seed)
    return VAE(784, 2, (512, 512), output="tanh")


def vae_mnist(seeds: int = 3, epochs: int = 15, images: int = 60_000) -> dict:
    """Train Example 68.1 on all of MNIST, with Adam on batches of 100; ρ as in the text.

    Returns
    -------
    dict
        ``bound``: mean bound of each epoch in nats, a list for each seed. Of the test images, a list over the
        seeds each: ``test bound``; ``importance bound`` with 64 draws, of the first 1000; ``divergence``;
        ``error``: ‖h - ĥ‖² of the reconstruction from the mean; ``neighbours``: see `neighbour_score`.
        ``PCA neighbours`` and ``PCA error``: the same for two principal components; ``energy``: mean ‖h‖².
        Of the first seed: ``plane``, the means of the first 1000 test images with ``labels``; and images as
        hexadecimal digits, see `pictures`: ``sheet`` (12 by 12), ``samples`` (12), ``reconstructions`` of the
        first test image of each digit.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    digits = centred_mnist(images)
    result = {name: [] for name in ("bound", "test bound", "importance bound", "divergence", "error",
                                    "neighbours")}  # fmt: skip
    space = Eigenspace(n_components=2).fit(digits.X.numpy().astype(float))
    test = digits.X_test.numpy().astype(float)
    planes = [space.transform(images) for images in (digits.X.numpy().astype(float), test)]
    result["PCA neighbours"] = round(neighbour_score(planes[0], digits.y, planes[1], digits.y_test), 4)
    result["PCA error"] = round(float(space.residual_energy(test).mean()), 3)
    result["energy"] = round(float((test**2).sum(axis=1).mean()), 3)
    with _float32_on_one_thread(), _state_files("vae_mnist", seeds) as files:
        for seed, file in enumerate(tqdm(files, desc="seeds", disable=None)):
            model = of_the_example(seed)
            history = train_vae(
                model, digits.X, epochs=epochs, batch=100, rho=1e-4, seed=seed, checkpoint=file
            )
            result["bound"].append([round(bound, 3) for bound in history])
            for name, value in _measured(model, digits).items():
                result[name].append(value)
            if seed == 0:
                result |= _pictures(model, digits)
    return result


@torch.no_grad()
def _measured(model: VAE, digits: Digits) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    mean, a = model.encode(digits.X_test)
    error = ((model.reconstruct(digits.X_test) - digits.X_test) ** 2).sum(dim=1)
    known, new = model.encode(digits.X)[0], mean
    tight = [model.importance_bound(x, 64, generator=generator) for x in digits.X_test[:1000].split(100)]
    return {
        "test bound": round(model.elbo(digits.X_test, generator=generator).mean().item(), 3),
        "importance bound": round(torch.cat(tight).mean().item(), 3),
        "divergence": round(divergence(mean, a).mean().item(), 3),
        "error": round(error.mean().item(), 3),
        "neighbours": round(neighbour_score(known, digits.y, new, digits.y_test), 4),
    }


@torch.no_grad()
def _pictures(model: VAE, digits: Digits) -> dict:
    first = [int(np.flatnonzero(digits.y_test == digit)[0]) for digit in range(10)]
    samples = model.sample(12, generator=torch.Generator().manual_seed(0))
    return {
        "plane": model.encode(digits.X_test[:1000])[0].numpy().astype(float).round(3).tolist(),
        "labels": digits.y_test[:1000].tolist(),
        "sheet": _as_hex(sheet(model, 12) + digits.mean),
        "samples": _as_hex(samples + digits.mean),
        "reconstructions": _as_hex(model.reconstruct(digits.X_test[first]) + digits.mean),
    }


def vae_batches(images: int = 10_000, passes: Mapping[int, int] = PASSES) -> dict:
    """Train Example 68.1 on a part of MNIST with B = 1 and with mini-batches.

    Plain gradient steps as in the listing (68.79), ρ = 0.0001, step size 0.0001 times B, so that all
    trainings go equally far in a pass; the text's is B = 1, for 200 passes over six times as many images.
    Beside them stands Adam, with its usual step of 0.001, B = 100. All begin with the same weights.

    Parameters
    ----------
    images
        How many of the training images.
    passes
        For each B, how many passes through them; Adam makes as many as plain steps with B = 100.

    Returns
    -------
    dict
        By name of the training: ``error`` and ``divergence``, means over 2000 test images, a list over the
        passes, the state before the first pass included; ``seconds`` of a pass on one core of the machine
        that made this result.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    digits = centred_mnist(images, 2000)
    plain = {
        f"B = {B}": (n, {"batch": B, "lr": 1e-4 * B, "optimiser": torch.optim.SGD}) for B, n in passes.items()
    }
    plans = plain | {"Adam, B = 100": (passes[100], {"batch": 100, "lr": 1e-3})}
    result = {"error": {}, "divergence": {}, "seconds": {}}
    with _float32_on_one_thread(), _state_files("vae_batches", len(plans)) as files:
        for (name, (n, plan)), file in zip(plans.items(), files, strict=True):
            found = _curve(name, n, plan, digits, file)
            for what, values in found.items():
                result[what][name] = values
    return result


def _curve(name: str, passes: int, plan: dict, digits: Digits, state: Path) -> dict:
    """Measure a training before its first pass and after each; the measurements stand beside its state."""
    notes = state.with_suffix(".json")
    model = of_the_example(0)
    if notes.exists():
        found = json.loads(notes.read_text(encoding="utf-8"))
    else:
        found = {"error": [], "divergence": [], "seconds": []}
        _note(found, model, digits.X_test, notes)
    for done in tqdm(range(len(found["seconds"]), passes), desc=name, disable=None):
        start = time.process_time()
        train_vae(model, digits.X, epochs=done + 1, rho=1e-4, checkpoint=state, **plan)
        found["seconds"].append(time.process_time() - start)
        _note(found, model, digits.X_test, notes)
    return found | {"seconds": round(float(np.median(found["seconds"])), 2)}


def _note(found: dict, model: VAE, X: Tensor, notes: Path) -> None:
    """Add the error and the divergence of a model to what was found, and write it to a file."""
    error, price = _error_and_divergence(model, X)
    found["error"].append(error)
    found["divergence"].append(price)
    draft = notes.with_suffix(".part")
    draft.write_text(json.dumps(found), encoding="utf-8")
    draft.replace(notes)


def vae_first_weights(images: int = 10_000, epochs: int = 5, seeds: int = 5) -> dict:
    """Train Example 68.1 from PyTorch's own first weights, and from those of Glorot and Bengio (2010).

    Returns
    -------
    dict
        By name of the first weights: ``error`` and ``divergence``, means over 2000 test images, a list over
        the seeds. A divergence near 0 says that the latents are not used.
        ``eigenvalues``: the first three of the images' covariance.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    digits = centred_mnist(images, 2000)
    first_weights: dict[str, Callable[[VAE], object]] = {
        "PyTorch": lambda model: [layer.reset_parameters() for layer in _linear_layers(model)],
        "Glorot and Bengio": lambda model: None,  # those of `VAE`
    }
    space = Eigenspace(n_components=3).fit(digits.X.numpy().astype(float))
    result = {"error": {}, "divergence": {}, "eigenvalues": space.eigenvalues_.round(3).tolist()}
    with _float32_on_one_thread():
        for name, prepare in first_weights.items():
            found = []
            for seed in tqdm(range(seeds), desc=name, disable=None):
                model = of_the_example(seed)
                prepare(model)
                train_vae(model, digits.X, epochs=epochs, batch=100, rho=1e-4, seed=seed)
                found.append(_error_and_divergence(model, digits.X_test))
            result["error"][name], result["divergence"][name] = map(list, zip(*found, strict=True))
    return result


@torch.no_grad()
def _error_and_divergence(model: VAE, X: Tensor) -> tuple[float, float]:
    error = ((model.reconstruct(X) - X) ** 2).sum(dim=1).mean().item()
    return round(error, 3), round(divergence(*model.encode(X)).mean().item(), 3)


def _linear_layers(model: VAE) -> list[nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)]


def _as_hex(images: Tensor) -> list[str]:
    """Write images with pixels in [0, 1] as strings of hexadecimal digits, 16 greys, one digit a pixel."""
    greys = (15 * images.clamp(0, 1)).round().to(torch.int64).tolist()
    return ["".join(f"{grey:x}" for grey in image) for image in greys]


def pictures(written: Sequence[str], side: int = 28) -> Images:
    """Return images ``(n, side, side)``, pixels in [0, 1], from strings with a hexadecimal digit a pixel.

    Examples
    --------
    >>> pictures(["0f33"], side=2)
    array([[[0. , 1. ],
            [0.2, 0.2]]])
    """
    return np.array([[int(grey, 16) / 15 for grey in image] for image in written]).reshape(-1, side, side)


@contextmanager
def _float32_on_one_thread() -> Iterator[None]:
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


@contextmanager
def _state_files(name: str, n: int) -> Iterator[list[Path]]:
    """Name files for the states of n trainings; they are deleted when all are finished, not before."""
    files = [Path(tempfile.gettempdir()) / f"gennet_{name}_{number}.pt" for number in range(n)]
    yield files
    for file in files:
        file.unlink(missing_ok=True)
        file.with_suffix(".json").unlink(missing_ok=True)
