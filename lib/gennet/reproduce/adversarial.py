"""Chapter 08 at full size: what an opponent made of a network knows about handwritten digits (Sayed 68.4)."""

from collections.abc import Sequence

import numpy as np
import torch
from tqdm.auto import tqdm

from gennet import datasets
from gennet.eigenspace import Eigenspace
from gennet.gan import Discriminator
from gennet.gan.objectives import estimate
from gennet.reproduce.autoencoders import _float64_on_one_thread
from gennet.training.gan import train_discriminator


def adversary_mnist(
    seeds: int = 3, shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0), samples: int = 12_000
) -> dict:
    """Chapter 08 on MNIST: the value of the game as a trained discriminator reports it (68.103), (68.115).

    The fakes are made so that the truth is known: a share of them are digits that are not among the real
    samples, the others are decoded from random codes of 50 numbers in an eigenspace. The pixels of digits are
    multiples of 1/255, those of a decoded picture are not, so the laws of digits and of decoded pictures
    share nothing: for a share α the value against the best discriminator is C = -ln(1 + α) + α ln(α / (1 +
    α)). A network 784-256-2 learns from so many real samples and as many fakes. It is then asked about those
    samples, and about 4000 new ones of either kind.

    Returns
    -------
    dict
        ``shares``; ``exact``: C for each; ``learnt from``, ``new``: for each share a list over the seeds of
        values in nats; ``error``: the same for the standard error of the values on new samples.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    mnist = datasets.load("mnist")
    train, test = (mnist.split(part).x.reshape(-1, 784) for part in ("train", "test"))
    space = Eigenspace(n_components=50).fit(train[:10_000].astype(float))
    result = {"shares": list(shares), "exact": [], "learnt from": [], "new": [], "error": []}
    for share in tqdm(shares, desc="shares", disable=None):
        rows = {key: [] for key in ("learnt from", "new", "error")}
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            h, h_hat = _real_and_fake(train, samples, share, space, rng)
            new = _real_and_fake(test, 4000, share, space, rng)
            with _float64_on_one_thread():
                torch.manual_seed(seed)
                D = Discriminator([784, 256, 2])
                train_discriminator(D, h, h_hat, epochs=3, seed=seed)
            value, error = estimate(D, *new)
            rows["learnt from"].append(round(estimate(D, h, h_hat).value, 4))
            rows["new"].append(round(value, 4))
            rows["error"].append(round(error, 4))
        for key, values in rows.items():
            result[key].append(values)
        exact = -np.log1p(share) + (share * np.log(share / (1 + share)) if share else 0.0)
        result["exact"].append(round(float(exact), 4))
    return result


def _real_and_fake(
    images: np.ndarray, n: int, share: float, space: Eigenspace, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw n real samples, and n fakes of which a share are other images."""
    order = rng.permutation(len(images))
    kept = round(share * n)
    codes = rng.standard_normal((n - kept, space.n_components_)) * np.sqrt(space.eigenvalues_)
    decoded = space.mean_ + codes @ space.components_
    h_hat = np.concatenate([images[order[n : n + kept]], np.clip(decoded, 0, 1)])
    return torch.tensor(images[order[:n]], dtype=torch.float64), torch.tensor(h_hat)
