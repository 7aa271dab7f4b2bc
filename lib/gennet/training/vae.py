"""The training loop of variational autoencoders (Sayed 68.2.4)."""

import os
from collections.abc import Callable

import torch
from torch import Tensor

from gennet.vae import VAE, weights

from .run import Run


def train_vae(
    model: VAE,
    X: Tensor,
    *,
    epochs: int,
    lr: float = 1e-3,
    batch: int = 128,
    kappa: float = 1.0,
    k: int = 1,
    rho: float = 0.0,
    optimiser: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    bar: str = "",
) -> list[float]:
    """Train a variational autoencoder and return the mean bound of each epoch, in nats.

    What is made small is the risk (68.37): minus twice the mean bound (of weight κ), plus ρ Σ ‖W‖². With
    ``optimiser=torch.optim.SGD`` each step is one of the listing (68.79), with ``batch=1`` the text's own.

    Parameters
    ----------
    model
        Changed in place.
    X
        Training samples ``(M, N)``, of the dtype and in the range of the model's decoder.
    epochs, lr, batch
        Passes through the samples, step size, samples in a mini-batch.
    kappa, k
        Weight of the divergence, draws for each sample: see `VAE.elbo`.
    rho
        Weight of the energy of all weight matrices.
    optimiser
        A class of torch.optim.
    seed
        Of the order of the samples and of the draws.
    checkpoint
        File of the state: if it exists, training goes on from there, to the identical result; see `Run`.
    bar
        Title of a progress bar; none is shown if it is empty.

    Raises
    ------
    ValueError
        If X does not fit the model, kappa is negative, or k, batch or epochs are below 1.
    FloatingPointError
        If the bound becomes NaN or infinite.
    KeyboardInterrupt
        If it is stopped by hand: after a whole step, with the state saved.
    """
    model.check(X)
    restrained = weights(model)
    others = [part for part in model.parameters() if not any(part is W for W in restrained)]
    groups = [{"params": restrained, "weight_decay": 2 * rho}, {"params": others}]  # the gradient of ρ ‖W‖²
    descent = optimiser(groups, lr=lr, fused=True)
    settings = {"lr": lr, "kappa": kappa, "k": k, "rho": rho, "optimiser": optimiser.__name__}
    parts = {"model": model, "optimiser": descent}
    with Run(
        "train_vae", parts, [X], batch=batch, epochs=epochs, seed=seed, settings=settings,
        checkpoint=checkpoint, bar=bar,
    ) as run:  # fmt: skip
        for rows in run:
            bound = model.elbo(X[rows], k=k, kappa=kappa, generator=run.generator).mean()
            run.record(bound=bound)
            descent.zero_grad()
            (-2 * bound).backward()
            descent.step()
    return run.history["bound"]
