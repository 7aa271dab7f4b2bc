"""The training loop of adversarial networks (Sayed 68.5.3), and a discriminator trained alone (68.4.1).

`train_gan` plays any game of `gennet.gan.objectives` with any two modules. What tends to go wrong is looked
for while it runs and said in words, with what helps: see `symptoms`. Left out: conditions such as class
labels.
"""

import os
import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gennet.gan.objectives import NON_SATURATING, Game

from .run import Run

LOOK_EVERY = 500  # steps between two looks at the players
LOOKED_AT = 256  # samples each time
CERTAIN = 0.01  # mean answers nearer than this to 0 or 1 leave nothing to learn from
FEW = 0.2  # share of the variety of real samples below which fakes count as collapsed


class TrainingTrouble(UserWarning):
    """Training goes on, but will probably not lead anywhere."""


def adam(parameters: Iterable, lr: float) -> Optimizer:
    """Return Adam as it is used for adversarial networks, with β₁ = 0.5 and β₂ = 0.999 (68.175)."""
    return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999), fused=True)


def train_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    X: Tensor,
    *,
    latent: int,
    epochs: int,
    objective: Game = NON_SATURATING,
    lr: float = 2e-4,
    lr_d: float | None = None,
    batch: int = 128,
    K_d: int = 1,
    K_g: int = 1,
    rho: float = 0.0,
    noise: float = 0.0,
    recycle: bool = False,
    optimiser: Callable[..., Optimizer] = adam,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    bar: str = "",
) -> dict[str, list[float]]:
    """Train two networks by turns and return their mean losses of each epoch (68.155).

    A round is K_d steps of the discriminator, then K_g of the generator: SA2, KA2.
    With ``optimiser=torch.optim.SGD`` a step of either is that of the listings (68.160) and (68.161): the
    discriminator is shown new fakes each time, and the generator is judged by the discriminator of this very
    round. Each batch of real samples serves one step of the discriminator.

    Parameters
    ----------
    generator, discriminator
        From latent vectors ``(B, P)`` to samples, and from samples to one number each, ``(B,)``; changed in
        place.
    X
        Real samples ``(N, ...)``, of the dtype and in the range of the generator's output.
    latent
        P; latent vectors are standard Gaussian.
    epochs, batch
        Passes through the real samples, samples of either kind in a step.
    objective
        What the players minimise; one that is an ``nn.Module`` has its state saved with theirs.
    lr, lr_d
        Step sizes of the generator, and of the discriminator if that is to be another.
    K_d, K_g
        Steps of the discriminator and of the generator in a round.
    rho
        ρ, the weight of Σ ‖W‖² over the weight matrices of each player.
    noise
        Standard deviation of Gaussian noise added to all that the discriminator sees.
    recycle
        Let the generator move first and the discriminator judge the same fakes, made before that move. It
        saves one pass of the generator in each round, and needs K_d = K_g = 1.
    optimiser
        Makes an optimiser from groups of parameters and a step size: `adam`, or a class of torch.optim.
    seed
        Of the order of the samples, the latent vectors and the noise.
    checkpoint
        File of the state: if it exists, training goes on from there, to the identical result; see `Run`.
    bar
        Title of a progress bar; none is shown if it is empty.

    Returns
    -------
    dict
        ``"discriminator"`` and ``"generator"``: the mean losses of each epoch.

    Raises
    ------
    ValueError
        If X holds NaN or does not fit the players, K_d or K_g is below 1, or ``recycle`` is asked for with
        more steps than one.
    FloatingPointError
        If a loss becomes NaN or infinite.
    KeyboardInterrupt
        If it is stopped by hand: after a whole step, with the state saved.

    Warns
    -----
    TrainingTrouble
        Once for each of the `symptoms`, which are looked for every 500 steps and at the end.
    """
    if K_d < 1 or K_g < 1 or (recycle and K_d * K_g > 1):
        raise ValueError(
            f"train_gan: K_d = {K_d} and K_g = {K_g}; both must be at least 1, and 1 with recycle. "
            "Leave out recycle, or give other numbers of steps."
        )
    lr_d = lr if lr_d is None else lr_d
    descent_d = optimiser(_groups(discriminator, rho), lr=lr_d)
    descent_g = optimiser(_groups(generator, rho), lr=lr)
    weights_d, weights_g = list(discriminator.parameters()), list(generator.parameters())
    parts = {
        "generator": generator,
        "discriminator": discriminator,
        "optimiser_g": descent_g,
        "optimiser_d": descent_d,
    }
    if isinstance(objective, nn.Module):
        parts["objective"] = objective
    settings = {
        "objective": objective.name,
        "lr": lr,
        "lr_d": lr_d,
        "K_d": K_d,
        "K_g": K_g,
        "rho": rho,
        "noise": noise,
        "recycle": recycle,
        "optimiser": optimiser.__name__,
    }

    with Run(
        "train_gan", parts, [X], batch=batch, epochs=epochs, seed=seed, settings=settings,
        checkpoint=checkpoint, bar=bar,
    ) as run:  # fmt: skip

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=run.generator, dtype=X.dtype).to(X.device)

        def blurred(h: Tensor) -> Tensor:
            return h + noise * draw(*h.shape) if noise else h

        def discriminator_step(h: Tensor, h_hat: Tensor) -> None:
            loss = objective.discriminator_loss(discriminator, blurred(h), blurred(h_hat))
            run.record(discriminator=loss)
            descent_d.zero_grad()
            loss.backward(inputs=weights_d)
            descent_d.step()
            objective.restrain(discriminator)

        def generator_step(B: int) -> Tensor:
            h_hat = generator(draw(B, latent))  # (B, ...)
            loss = objective.generator_loss(discriminator, blurred(h_hat))
            run.record(generator=loss)
            descent_g.zero_grad()
            loss.backward(inputs=weights_g)  # nothing is computed for the discriminator's weights
            descent_g.step()
            return h_hat.detach()

        told: set[str] = set()
        for rows in run:
            h, B = X[rows], len(rows)
            if recycle:
                discriminator_step(h, generator_step(B))
            else:
                with torch.no_grad():
                    h_hat = generator(draw(B, latent))
                discriminator_step(h, h_hat)
                if (run.step + 1) % K_d == 0:
                    for _ in range(K_g):
                        generator_step(B)
            if (run.step + 1) % LOOK_EVERY == 0:
                _tell(generator, discriminator, X, latent, objective, told)
    _tell(generator, discriminator, X, latent, objective, told)
    return run.history


@torch.no_grad()
def symptoms(
    generator: nn.Module, discriminator: nn.Module, X: Tensor, latent: int, objective: Game = NON_SATURATING
) -> dict[str, str]:
    """Look at both players; return what is wrong with them, each a sentence with what helps, by name.

    ``"certain"``: real samples get 1, fakes 0, and the generator has little to learn from. ``"stuck"``: all
    get 0, or all 1. Both are looked for only where answers are logits. ``"collapsed"``: the fakes resemble
    few of the real samples. Of 256 fakes the nearest among 256 real samples are found, and of 256 other real
    samples, too; the fakes have collapsed if they meet less than a fifth as many different ones. A generator
    that leaves out some of many modes is not noticed.

    Parameters
    ----------
    generator, discriminator, X, latent, objective
        As for `train_gan`. Neither player is changed, nor is any generator of random numbers.
    """
    n = min(LOOKED_AT, len(X) // 2)
    dice = torch.Generator().manual_seed(0)
    order = torch.randperm(len(X), generator=dice)
    real, other = X[order[:n]], X[order[n : 2 * n]]
    states = [player.training for player in (generator, discriminator)]
    generator.eval()
    discriminator.eval()
    fakes = generator(torch.randn(n, latent, generator=dice, dtype=X.dtype).to(X.device))
    answers = [torch.sigmoid(discriminator(h)).mean().item() for h in (real, fakes)]
    generator.train(states[0])
    discriminator.train(states[1])
    met, met_by_real = (_different_nearest(h, real) for h in (fakes, other))

    found = {}
    if objective.logits and answers[0] > 1 - CERTAIN and answers[1] < CERTAIN:
        found["certain"] = (
            f"The discriminator is certain: it answers {answers[0]:.3f} for real samples and "
            f"{answers[1]:.3f} for fakes, and leaves the generator little to learn from. Lower lr_d, take "
            "soft labels (smoothed) or noise, and the non-saturating objective."
        )
    elif objective.logits and (max(answers) < CERTAIN or min(answers) > 1 - CERTAIN):
        found["stuck"] = (
            f"The discriminator is stuck: it answers {answers[0]:.3f} for real samples and {answers[1]:.3f} "
            "for fakes. Lower lr_d and begin again; see that the samples have the range of the generator's "
            "output."
        )
    if met < FEW * met_by_real:
        found["collapsed"] = (
            f"The generator has collapsed: {n} fakes are nearest to only {met} different real samples; as "
            f"many real ones are to {met_by_real}. Let the discriminator make more steps (K_d) and the "
            "generator fewer or smaller ones (lr), or add noise."
        )
    return found


def train_discriminator(
    discriminator: nn.Module,
    h: Tensor,
    h_hat: Tensor,
    *,
    epochs: int,
    lr: float = 1e-3,
    batch: int = 128,
    rho: float = 0.0,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    bar: str = "",
) -> list[float]:
    """Train a discriminator on samples that do not change; return the mean risk of each epoch, in nats.

    This is (68.100). Its answers approach the best ones, π f / (π f + (1 - π) g) with the share π of real
    samples among all; its value on other samples is, on average, a lower bound of that of the game.

    Parameters
    ----------
    discriminator
        From samples to logits, ``(B,)``; changed in place.
    h, h_hat
        Real and fake samples, ``(N_r, ...)`` and ``(N_f, ...)``.
    epochs, lr, batch, rho, seed, checkpoint, bar
        As for `train_gan`; the optimiser is Adam with its usual constants.
    """
    X = torch.cat([h, h_hat])
    real = torch.arange(len(X)) < len(h)
    gamma = real.to(X.dtype)
    descent = torch.optim.Adam(_groups(discriminator, rho), lr=lr, fused=True)
    settings = {"lr": lr, "rho": rho}
    parts = {"discriminator": discriminator, "optimiser": descent}
    with Run(
        "train_discriminator", parts, [X, gamma], batch=batch, epochs=epochs, seed=seed, settings=settings,
        checkpoint=checkpoint, bar=bar,
    ) as run:  # fmt: skip
        for rows in run:
            risk = nn.functional.binary_cross_entropy_with_logits(discriminator(X[rows]), gamma[rows])
            run.record(risk=risk)
            descent.zero_grad()
            risk.backward()
            descent.step()
    return run.history["risk"]


def _groups(module: nn.Module, rho: float) -> list[dict]:
    """Divide parameters into weight matrices, whose gradient gets 2 ρ W added, and the others."""
    matrices = [part for part in module.parameters() if part.ndim > 1]
    others = [part for part in module.parameters() if part.ndim <= 1]
    return [{"params": matrices, "weight_decay": 2 * rho}, {"params": others}]


def _different_nearest(h: Tensor, real: Tensor) -> int:
    """Return how many different real samples are the nearest to one of h."""
    return len(torch.cdist(h.flatten(1), real.flatten(1)).argmin(dim=1).unique())


def _tell(
    generator: nn.Module, discriminator: nn.Module, X: Tensor, latent: int, objective: Game, told: set[str]
) -> None:
    """Warn of each symptom, once."""
    for name, sentence in symptoms(generator, discriminator, X, latent, objective).items():
        if name not in told:
            told.add(name)
            warnings.warn(sentence, TrainingTrouble, stacklevel=3)
