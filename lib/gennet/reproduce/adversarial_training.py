"""Chapter 09 at full size: worlds of known truth, Example 68.6 on MNIST, what the remedies buy (Sayed 68.5).

The trainings on MNIST run in float32 on one thread, where their last digits differ from machine to machine.
They take longer than one sitting: called again, they go on where they were stopped; their states lie in the
folder for temporary files until all is finished. Left out: scores of a generator that need more than labels.
"""

import shutil
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor, nn
from tqdm.auto import tqdm

from gennet import datasets
from gennet.gan import MINIMAX, Discriminator, Generator, smoothed, worlds
from gennet.gan.networks import example_68_6
from gennet.reproduce.autoencoders import _float64_on_one_thread
from gennet.reproduce.variational import _as_hex, _float32_on_one_thread, _state_files
from gennet.training.gan import TrainingTrouble, train_gan

SETTINGS = {"latent": 2, "lr": 2e-4, "rho": 1e-4, "batch": 128}  # (68.175); K_d = K_g = 1


class Verdict(NamedTuple):
    """What labelled images say about generated ones.

    Attributes
    ----------
    shares : ndarray of shape (C,)
        How often each class is seen: the majority among the five nearest labelled images.
    entropy : float
        Of the shares, in nats: ln C for all classes alike, 0 for a single one.
    agreed : float
        Share of images whose five nearest labelled images are all of one class.
    spacing : float
        Median distance from an image to the nearest other one, divided by that of as many labelled images.
        1 for images as different from one another as real ones are, 0 for copies of a few.
    """

    shares: NDArray[np.float64]
    entropy: float
    agreed: float
    spacing: float


def verdict(images: ArrayLike, labelled: ArrayLike, labels: ArrayLike) -> Verdict:
    """Look how far generated images have collapsed, by means of labelled ones.

    Parameters
    ----------
    images
        Shape ``(n, M)``, n at least 2.
    labelled, labels
        Real images ``(N, M)`` in the same range, N not below n, and their classes, 0 to C - 1.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a pixel is NaN.

    Examples
    --------
    >>> real = np.repeat(np.eye(10), 6, axis=0) + 0.01 * np.arange(60)[:, None]
    >>> verdict(real[:6], real, np.repeat(np.arange(10), 6)).shares  # zeros only
    array([1., 0., 0., 0., 0., 0., 0., 0., 0., 0.])
    """
    images, labelled, labels = np.asarray(images), np.asarray(labelled), np.asarray(labels)
    if images.ndim != 2 or images.shape[1:] != labelled.shape[1:] or not 2 <= len(images) <= len(labelled):
        raise ValueError(
            f"verdict: images of shape {images.shape} and labelled ones of shape {labelled.shape}; expected "
            "(n, M) and (N, M) with 2 <= n <= N. Flatten them first."
        )
    votes = KNeighborsClassifier(5, algorithm="brute").fit(labelled, labels).predict_proba(images)  # (n, C)
    shares = np.bincount(votes.argmax(axis=1), minlength=votes.shape[1]) / len(images)
    spacing = _spacing(images) / _spacing(labelled[: len(images)])
    return Verdict(shares, float(entr(shares).sum()), float((votes.max(axis=1) == 1).mean()), spacing)


def _spacing(images: NDArray[np.floating]) -> float:
    distances, _ = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(images).kneighbors(images)
    return float(np.median(distances[:, 1]))


WORLDS = {"ring": worlds.ring(), "grid": worlds.grid()}
PLANS: dict[str, tuple[str, int, dict]] = {  # world, rounds, what is changed
    "ring": ("ring", 800, {}),
    "ring, ln(1 - D)": ("ring", 800, {"objective": MINIMAX}),
    "ring, noise of 0.1": ("ring", 800, {"noise": 0.1}),
    "ring, soft labels": ("ring", 800, {"objective": smoothed(0.9)}),
    "ring, K_d = 5": ("ring", 265, {"K_d": 5}),
    "ring, K_g = 5": ("ring", 265, {"K_g": 5}),
    "ring, K_g = 10": ("ring", 145, {"K_g": 10}),
    "ring, D slow": ("ring", 800, {"lr_d": 5e-4}),
    "grid": ("grid", 1500, {}),
}


def score(plan: str, seed: int) -> worlds.Coverage:
    """Train two networks of 32-32 ReLUs by a plan of `PLANS`; count the bumps that 2000 fakes cover.

    2000 real samples, batches of 100, Adam with steps of 0.002 and, for the discriminator, 0.004. The dtype
    is PyTorch's default. On the ring both players together make about 1600 moves.
    """
    name, rounds, change = PLANS[plan]
    world, options = WORLDS[name], {"lr": 2e-3, "lr_d": 4e-3, "batch": 100, "seed": seed} | change
    dtype = torch.get_default_dtype()
    X = torch.tensor(world.sample(2000, np.random.default_rng(seed)), dtype=dtype)
    torch.manual_seed(seed)
    generator, discriminator = Generator([2, 32, 32, 2]), Discriminator([2, 32, 32, 2])
    passes = -(-rounds * options.get("K_d", 1) // 20)  # of 20 batches
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingTrouble)
        train_gan(generator, discriminator, X, latent=2, epochs=passes, **options)
    return worlds.coverage(generator.sample(2000, seed=1), world)


def gan_worlds(seeds: int = 8) -> dict:
    """Train on the ring of 8 and on the grid of 25 by all `PLANS`.

    Returns
    -------
    dict
        ``modes`` and ``good``, see `gennet.gan.worlds.Coverage`: by plan, a list over the seeds.
    """
    result: dict = {"modes": {}, "good": {}}
    with _float64_on_one_thread():
        for plan in tqdm(PLANS, desc="plans", disable=None):
            found = [score(plan, seed) for seed in range(seeds)]
            result["modes"][plan] = [one.modes for one in found]
            result["good"][plan] = [round(one.good, 3) for one in found]
    return result


class Digits(NamedTuple):
    """MNIST as Example 68.6 takes it: pixels brought to [-1, 1], in rows of 784."""

    X: Tensor
    y: NDArray[np.int64]
    X_test: Tensor
    y_test: NDArray[np.int64]


def mnist_from_minus_one(images: int = 60_000) -> Digits:
    """Return the first training images and all test images, float32.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    mnist = datasets.load("mnist")
    train, test = mnist.split("train"), mnist.split("test")
    X, X_test = (torch.from_numpy(2 * part.x.reshape(-1, 784) - 1) for part in (train, test))
    return Digits(X[:images], train.y[:images], X_test, test.y)


def gan_mnist(epochs: Sequence[int] = (1, 2, 5, 12), images: int = 60_000, samples: int = 1000) -> dict:
    """Train Example 68.6 on all of MNIST, with the sizes and settings of the text (68.175).

    The text makes 200 passes; here there are fewer. For the first weights see `first_weights`.

    Returns
    -------
    dict
        ``epochs``: after how many passes the generator was looked at. For each, a list: ``shares`` of the ten
        digits among so many samples, ``entropy``, ``agreed``, ``spacing``, see `Verdict`, and ``pictures``:
        the same 12 latent vectors each time. ``real``: the verdict on as many test images.
        ``discriminator``, ``generator``: mean losses of each pass, in nats. ``figure``: the first 100 samples
        at the end. ``sheet``: 10 by 10 images for latent vectors on a grid of normal quantiles. Images are
        strings with a hexadecimal digit a pixel; `gennet.reproduce.variational.pictures` reads them.
        ``start``: mean losses of the first 30 rounds of a training on the first 3840 images.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    data = mnist_from_minus_one(images)
    result = {
        "epochs": list(epochs),
        "shares": [],
        "entropy": [],
        "agreed": [],
        "spacing": [],
        "pictures": [],
    }
    with _float32_on_one_thread(), _state_files("gan_mnist", len(epochs)) as files:
        result["start"] = start(data.X)
        generator, discriminator = of_the_example()
        before = None
        for file, passes in zip(files, tqdm(epochs, desc="looks", disable=None), strict=True):
            if before and not file.exists():
                shutil.copy(before, file)
            history = _quietly_train(generator, discriminator, data.X, epochs=passes, checkpoint=file)
            fakes = generator.sample(samples)
            for name, value in _rounded(verdict(fakes, data.X, data.y)).items():
                result[name].append(value)
            result["pictures"].append(_as_hex((generator.sample(12, seed=1) + 1) / 2))
            before = file
        result |= {name: [round(loss, 4) for loss in losses] for name, losses in history.items()}
        result["real"] = _rounded(verdict(data.X_test[:samples], data.X, data.y))
        result["figure"] = _as_hex((fakes[:100] + 1) / 2)
        result["sheet"] = _as_hex((sheet(generator, 10) + 1) / 2)
    return result


def of_the_example() -> tuple[nn.Module, nn.Module]:
    """Return the networks of Example 68.6 with the first weights of this experiment."""
    torch.manual_seed(0)
    return first_weights(*example_68_6())


def first_weights(*players: nn.Module) -> tuple[nn.Module, ...]:
    """Draw the weights of networks with ReLU anew, so that signals keep their size; return the networks.

    Weights below a ReLU have the variance 2 / n for n inputs (K. He and others, 2015), those of the output
    layer 2 / (n + m) (X. Glorot and Y. Bengio, 2010); offsets are 0. PyTorch's own are smaller: with them
    every latent vector gives nearly the same fake at first.
    """
    for player in players:
        *hidden, output = [layer for layer in player.modules() if isinstance(layer, nn.Linear)]
        for layer in hidden:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.xavier_normal_(output.weight)
        for layer in (*hidden, output):
            nn.init.zeros_(layer.bias)
    return players


def start(X: Tensor) -> dict[str, float]:
    """Return the mean losses of the first 30 rounds of Example 68.6 on the first 3840 images, in nats."""
    history = _quietly_train(*of_the_example(), X[:3840], epochs=1)
    return {name: round(losses[0], 4) for name, losses in history.items()}


REMEDIES: dict[str, dict] = {
    "as in the text": {},
    "half the step size": {"lr": 1e-4},
    "noise of 0.2": {"noise": 0.2},
    "soft labels": {"objective": smoothed(0.9)},
    "K_d = 2": {"K_d": 2},
    "16 latent numbers": {"latent": 16},
    "PyTorch's weights": {},
}


def gan_remedies(seeds: int = 2, epochs: int = 4, images: int = 60_000, samples: int = 1000) -> dict:
    """Train networks of a quarter of the width of Example 68.6 on MNIST, with one thing changed at a time.

    They are 2-64-128-256-784 and 784-256-128-64-2, and otherwise as in the text (68.175). The generator
    makes equally many steps each time: with K_d = 2 there are twice as many passes.

    Returns
    -------
    dict
        By name of the remedy, a list over the seeds: ``entropy``, ``agreed``, ``spacing`` and ``least``, the
        share of the rarest digit, see `Verdict`. ``pictures`` of the first seed: 10 samples, as in
        `gan_mnist`. ``epochs``, how many passes.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    data = mnist_from_minus_one(images)
    result = {name: {} for name in ("entropy", "agreed", "spacing", "least", "pictures")} | {"epochs": epochs}
    with _float32_on_one_thread(), _state_files("gan_remedies", len(REMEDIES) * seeds) as files:
        for number, (name, change) in enumerate(tqdm(REMEDIES.items(), desc="remedies", disable=None)):
            rows = []
            for seed, file in enumerate(files[number * seeds : (number + 1) * seeds]):
                torch.manual_seed(seed)
                generator = Generator([change.get("latent", 2), 64, 128, 256, 784], output="tanh")
                discriminator = Discriminator([784, 256, 128, 64, 2])
                if name != "PyTorch's weights":
                    first_weights(generator, discriminator)
                options = {"epochs": epochs * change.get("K_d", 1), "seed": seed, "checkpoint": file} | change
                _quietly_train(generator, discriminator, data.X, **options)
                found = _rounded(verdict(generator.sample(samples), data.X, data.y))
                rows.append(found | {"least": min(found["shares"])})
                if seed == 0:
                    result["pictures"][name] = _as_hex((generator.sample(10, seed=1) + 1) / 2)
            for key in ("entropy", "agreed", "spacing", "least"):
                result[key][name] = [row[key] for row in rows]
    return result


def sheet(generator: nn.Module, n: int) -> Tensor:
    """Decode n by n latent vectors of the plane, at the normal quantiles (k - ½) / n; ``(n², M)``."""
    at = torch.special.ndtri((torch.arange(n) + 0.5) / n)
    with torch.no_grad():
        return generator(torch.cartesian_prod(-at, at).flip(1))  # the second latent falls from row to row


def _quietly_train(generator: nn.Module, discriminator: nn.Module, X: Tensor, **options) -> dict:
    """Train with the settings of the text; trouble is what these experiments measure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingTrouble)
        return train_gan(generator, discriminator, X, **(SETTINGS | options))


def _rounded(found: Verdict) -> dict:
    return {
        "shares": found.shares.round(4).tolist(),
        "entropy": round(found.entropy, 4),
        "agreed": round(found.agreed, 4),
        "spacing": round(found.spacing, 4),
    }
