"""The training loops of conditional adversarial networks (Sayed 68.6), and of those with C + 1 outputs.

They differ from `gennet.training.gan.train_gan` in what the players read and are asked. Left out: several
steps of one player in a round, and looking for trouble.
"""

import os

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from gennet.cgan import (
    UNKNOWN,
    ClassDiscriminator,
    minus_log_class,
    minus_log_fake,
    minus_log_real,
    with_label,
)
from gennet.cvae import one_hot
from gennet.gan.objectives import NON_SATURATING, Game

from .gan import _groups, adam
from .run import Run


def train_cgan(
    generator: nn.Module,
    discriminator: nn.Module,
    X: Tensor,
    gamma: Tensor,
    *,
    latent: int,
    epochs: int,
    objective: Game = NON_SATURATING,
    lr: float = 2e-4,
    batch: int = 128,
    rho: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    bar: str = "",
) -> dict[str, list[float]]:
    """Train two networks that both read the class by turns, one step each; return mean losses by epoch.

    The game is that of `train_gan` on pairs: col{h, γ} for a real sample, col{ĥ, γ} for a fake that was asked
    for with the same γ. So both kinds have each class equally often, and the label alone tells nothing.

    Parameters
    ----------
    generator, discriminator
        From col{u, γ}, ``(B, P + C)``, to samples ``(B, M)`` (68.164), and from col{h, γ}, ``(B, M + C)``,
        to one number each, ``(B,)`` (68.165); changed in place.
    X, gamma
        Real samples ``(N, M)`` and their labels as vectors ``(N, C)``.
    latent
        P; latent vectors are standard Gaussian.
    noise
        Standard deviation of Gaussian noise added to all samples that the discriminator sees, not to labels.
    epochs, batch, objective, lr, rho, seed, checkpoint, bar
        As for `train_gan`; the optimiser is that of Example 68.6, `adam`.

    Returns
    -------
    dict
        ``"discriminator"`` and ``"generator"``: the mean losses of each epoch.

    Raises
    ------
    ValueError
        If X and the labels do not fit one another or the players.
    FloatingPointError
        If a loss becomes NaN or infinite.
    """
    with_label(X, gamma)  # refuses what does not fit
    descent_d, descent_g = (adam(_groups(player, rho), lr) for player in (discriminator, generator))
    parts = _parts(generator, discriminator, descent_g, descent_d)
    if isinstance(objective, nn.Module):
        parts["objective"] = objective
    settings = {"objective": objective.name, "lr": lr, "rho": rho, "noise": noise}
    with Run(
        "train_cgan", parts, [X, gamma], batch=batch, epochs=epochs, seed=seed, settings=settings,
        checkpoint=checkpoint, bar=bar,
    ) as run:  # fmt: skip
        for rows in run:
            label = gamma[rows]
            with torch.no_grad():
                h_hat = generator(with_label(_latents(run, label, latent), label))  # (B, M)
            h, h_hat = _blurred(run, X[rows], noise), _blurred(run, h_hat, noise)
            risk = objective.discriminator_loss(discriminator, with_label(h, label), with_label(h_hat, label))
            run.record(discriminator=risk)
            _step(descent_d, risk)
            objective.restrain(discriminator)

            h_hat = generator(with_label(_latents(run, label, latent), label))
            h_hat = _blurred(run, h_hat, noise)
            loss = objective.generator_loss(discriminator, with_label(h_hat, label))
            run.record(generator=loss)
            _step(descent_g, loss)
    return run.history


def train_class_gan(
    generator: nn.Module,
    discriminator: ClassDiscriminator,
    X: Tensor,
    labels: Tensor,
    *,
    latent: int,
    epochs: int,
    ask: bool = True,
    lr: float = 2e-4,
    batch: int = 128,
    rho: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    bar: str = "",
) -> dict[str, list[float]]:
    """Train a generator against a discriminator with C + 1 outputs by turns, one step each (Problem 68.8).

    The discriminator is to say the class of a real sample, and "fake" of a fake. Where only some classes are
    known, the known ones get a batch of their own in every step, so that they are not lost among the others,
    of which the discriminator learns only that they are real.

    Parameters
    ----------
    generator, discriminator
        From col{u, γ}, ``(B, P + C)``, or from u alone if it is not asked for a class, to samples ``(B, M)``;
        and from samples to C + 1 outputs; changed in place.
    X, labels
        Real samples ``(N, M)`` and their classes ``(N,)``, from 0; -1 where the class is not known.
    ask
        Ask the generator for the class of each real sample of the batch; its loss is -ln γ̂(c). Otherwise any
        class will do, and its loss is -ln(1 - γ̂(C+1)).
    latent, epochs, lr, batch, rho, noise, seed, checkpoint, bar
        As for `train_cgan`.

    Returns
    -------
    dict
        ``"discriminator"`` and ``"generator"``: the mean losses of each epoch.

    Raises
    ------
    ValueError
        If the labels are not whole numbers from -1 to C - 1, one for each sample; if none is known, or if the
        generator is to be asked for classes and not all are known.
    FloatingPointError
        If a loss becomes NaN or infinite.
    """
    known = torch.nonzero(labels != UNKNOWN).flatten()
    if labels.shape != X.shape[:1] or not len(known) or (ask and len(known) < len(labels)):
        raise ValueError(
            f"train_class_gan: {len(X)} samples, labels of shape {tuple(labels.shape)}, {len(known)} of them "
            "known. Give each sample a class or -1; some must be known, all if the generator is asked."
        )
    gamma = one_hot(torch.where(labels == UNKNOWN, 0, labels), discriminator.C)  # refuses what is no class
    condition = gamma.to(X) if ask else X[:, :0]
    descent_d, descent_g = (adam(_groups(player, rho), lr) for player in (discriminator, generator))
    parts = _parts(generator, discriminator, descent_g, descent_d)
    settings = {"ask": ask, "lr": lr, "rho": rho, "noise": noise}
    with Run(
        "train_class_gan", parts, [X, labels], batch=batch, epochs=epochs, seed=seed, settings=settings,
        checkpoint=checkpoint, bar=bar,
    ) as run:  # fmt: skip
        for rows in run:
            label, B, told = condition[rows], len(rows), rows
            if len(known) < len(X):
                told = known[torch.randint(len(known), (B,), generator=run.generator)]
            with torch.no_grad():
                h_hat = generator(with_label(_latents(run, label, latent), label))  # (B, M)
            shown = _blurred(run, torch.cat([X[rows], h_hat, X[told]]), noise)
            z, z_hat, z_told = discriminator(shown).split(B)  # (B, C + 1) each
            among_classes = cross_entropy(z_told[:, :-1], labels[told])
            risk = (minus_log_real(z).mean() + minus_log_fake(z_hat).mean() + among_classes) / 2
            run.record(discriminator=risk)
            _step(descent_d, risk)

            h_hat = generator(with_label(_latents(run, label, latent), label))
            z_hat = discriminator(_blurred(run, h_hat, noise))
            loss = (minus_log_class(z_hat, labels[rows]) if ask else minus_log_real(z_hat)).mean()
            run.record(generator=loss)
            _step(descent_g, loss)
    return run.history


def _latents(run: Run, label: Tensor, latent: int) -> Tensor:
    """Draw a latent vector for each label, ``(B, P)``."""
    return torch.randn(len(label), latent, generator=run.generator, dtype=label.dtype).to(label.device)


def _blurred(run: Run, h: Tensor, noise: float) -> Tensor:
    """Return samples with noise added to them."""
    return h + noise * torch.randn(h.shape, generator=run.generator, dtype=h.dtype).to(h) if noise else h


def _step(descent: Optimizer, loss: Tensor) -> None:
    """Take one step of one player; nothing is computed for the other's weights."""
    weights = [weight for group in descent.param_groups for weight in group["params"]]
    descent.zero_grad()
    loss.backward(inputs=weights)
    descent.step()


def _parts(
    generator: nn.Module, discriminator: nn.Module, descent_g: Optimizer, descent_d: Optimizer
) -> dict:
    players = {"generator": generator, "discriminator": discriminator}
    return players | {"optimiser_g": descent_g, "optimiser_d": descent_d}
