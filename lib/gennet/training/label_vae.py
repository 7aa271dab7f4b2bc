"""The training loop of variational autoencoders that infer the label (Sayed, Problem 68.5)."""

import os

import torch
from torch import Tensor

from gennet.cvae import LabelInferringVAE

from .run import Run


def train_label_vae(
    model: LabelInferringVAE,
    X: Tensor,
    labels: Tensor,
    *,
    eta: float,
    epochs: int,
    lr: float = 1e-3,
    batch: int = 128,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    bar: str = "",
) -> dict[str, list[float]]:
    """Train encoder, label network and decoder together, by Adam, on the risk of Problem 68.5.

    Parameters
    ----------
    model
        Changed in place.
    X, labels
        Training samples ``(N, M)``, and whole numbers ``(N,)`` or vectors ``(N, C)``.
    eta
        Weight of the cross entropy, at least 0; with 0 the labels play no part.
    epochs, lr, batch
        Passes through the samples, step size, samples in a mini-batch.
    seed
        Of the order of the samples and of the draws.
    checkpoint, bar
        As those of `train_vae`.

    Returns
    -------
    dict
        By epoch, the means of ``"fit"``, the model's `elbo`, and of the ``"cross entropy"``, in nats.

    Raises
    ------
    ValueError
        If X or the labels do not fit the model or one another, eta is negative, or batch or epochs below 1.
    FloatingPointError
        If the loss becomes NaN or infinite.
    """
    if not eta >= 0:
        raise ValueError(f"train_label_vae: eta must be at least 0, got {eta}.")
    model.cross_entropy(X[:1], labels[:1])  # refuses what does not fit
    model.check(X)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    parts, settings = {"model": model, "optimiser": optimiser}, {"lr": lr, "eta": eta}
    with Run(
        "train_label_vae", parts, [X, labels], batch=batch, epochs=epochs, seed=seed, settings=settings,
        checkpoint=checkpoint, bar=bar,
    ) as run:  # fmt: skip
        for rows in run:
            fit = model.elbo(X[rows], generator=run.generator).mean()
            cross_entropy = model.cross_entropy(X[rows], labels[rows]).mean()
            run.record(**{"fit": fit, "cross entropy": cross_entropy})
            optimiser.zero_grad()
            (-2 * fit + eta * cross_entropy).backward()
            optimiser.step()
    return run.history
