"""What the two players of an adversarial network minimise, as small interchangeable objects.

The methods that matter are ``discriminator_loss(D, h, h_hat)`` and ``generator_loss(D, h_hat)``. They get
the discriminator itself and the samples, not its answers, so that an objective may look at it elsewhere too:
between real and fake samples for a gradient penalty, with labels bound for a conditional game. Those that
only average a function of each answer are `Objective`s; the chapters add theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

Judge = Callable[[Tensor], Tensor]  # a discriminator: samples (B, ...) to one number each, (B,)
Pointwise = Callable[[Tensor], Tensor]


class Game(Protocol):
    """What `gennet.training.train_gan` asks of an objective.

    One with a state of its own is an ``nn.Module`` too, so that its state is saved.
    """

    name: str
    logits: bool
    """Whether the discriminator's answers are logits of probabilities."""

    def discriminator_loss(self, D: Judge, h: Tensor, h_hat: Tensor) -> Tensor:
        """Return what the discriminator minimises; the fakes carry no gradient."""

    def generator_loss(self, D: Judge, h_hat: Tensor) -> Tensor:
        """Return what the generator minimises, through its fakes."""

    def restrain(self, discriminator: nn.Module) -> None:
        """Change the discriminator after its step, for games that bound its weights."""


@dataclass(frozen=True)
class Objective:
    """A game whose losses are means of a function of each answer, KA1.

    Attributes
    ----------
    name : str
    real, fake : callable
        The discriminator's loss for one real and for one fake sample, from its answers ``(B,)``.
    pretend : callable
        The generator's loss for one fake.
    logits : bool
        Whether the answers are logits of probabilities, as in all games of this module.
    """

    name: str
    real: Pointwise
    fake: Pointwise
    pretend: Pointwise
    logits: bool = True

    def discriminator_loss(self, D: Judge, h: Tensor, h_hat: Tensor) -> Tensor:
        """Return the mean over real and fake samples together, one 1/N as in (68.122).

        Both go through the discriminator in one batch; it must treat each sample by itself (no batch norm).
        """
        if h.shape[1:] != h_hat.shape[1:]:
            raise ValueError(
                f"Objective: fakes have shape {tuple(h_hat.shape[1:])}, real samples {tuple(h.shape[1:])}. "
                "Build the generator for the samples, or reshape them."
            )
        z, z_hat = D(torch.cat([h, h_hat])).split([len(h), len(h_hat)])
        return (self.real(z).sum() + self.fake(z_hat).sum()) / (len(h) + len(h_hat))

    def generator_loss(self, D: Judge, h_hat: Tensor) -> Tensor:
        """Return the mean over the fakes."""
        return self.pretend(D(h_hat)).mean()

    def restrain(self, discriminator: nn.Module) -> None:
        """Leave the discriminator as it is."""


# With logits z, D = 1 / (1 + exp(-z)): -ln D = softplus(-z) and -ln(1 - D) = softplus(z), never infinite.


def _minus_log_D(z: Tensor) -> Tensor:
    return softplus(-z)


def _log_one_minus_D(z: Tensor) -> Tensor:
    return -softplus(z)


MINIMAX = Objective("minimax", _minus_log_D, softplus, _log_one_minus_D)
"""Both players on one value; the generator minimises ln(1 - D) (68.109), (68.124): the saturating form."""

NON_SATURATING = Objective("non-saturating", _minus_log_D, softplus, _minus_log_D)
"""The generator maximises ln D instead (68.125)."""


def smoothed(real: float = 0.9) -> Objective:
    """Return the non-saturating game with soft labels (real, 1 - real) for real samples, hard ones for fakes.

    The two entries of a label must sum to 1: with (0.9, 0), as printed after (68.175), real samples only
    weigh less, and D may still answer 1 (erratum S25).

    Raises
    ------
    ValueError
        If the label does not lie between ½ and 1.
    """
    if not 0.5 < real <= 1:
        raise ValueError(
            f"smoothed: the soft label of real samples lies above 0.5 and at most at 1; got {real}."
        )
    return Objective(
        f"non-saturating, real labels {real:g}",
        lambda z: real * softplus(-z) + (1 - real) * softplus(z),
        softplus,
        _minus_log_D,
    )


class Estimate(NamedTuple):
    """A value estimated from samples, and its standard error, in nats."""

    value: float
    error: float


def value(D: Judge, h: Tensor, h_hat: Tensor) -> Tensor:
    """Return the value of the game on samples, mean ln D(h) + mean ln(1 - D(ĥ)), in nats, CR20.

    The discriminator climbs its gradient; the generator of ĥ, who maximises its opposite (68.109), descends
    it.
    """
    return -softplus(-D(h)).mean() - softplus(D(h_hat)).mean()


@torch.no_grad()
def estimate(D: Judge, h: Tensor, h_hat: Tensor) -> Estimate:
    """Return `value` with its standard error, for samples from which neither player has learnt."""
    real, fake = -softplus(-D(h)), -softplus(D(h_hat))
    error = (real.var() / len(real) + fake.var() / len(fake)).sqrt()
    return Estimate((real.mean() + fake.mean()).item(), error.item())


def penalty(module: nn.Module) -> Tensor:
    """Return Σ ‖W‖² over the weight matrices of a module, without its offsets."""
    return sum(W.square().sum() for W in module.parameters() if W.ndim > 1)


def joint_risk(
    generator: nn.Module, discriminator: nn.Module, h: Tensor, h_hat: Tensor, rho: float
) -> Tensor:
    """Return the risk that the discriminator minimises and the generator maximises, in nats (68.119).

    For the discriminator it is (68.121). It is -ρ Σ ‖W_g‖² + ρ Σ ‖W_d‖² plus the cross entropy over real and
    fake samples (68.122). The generator's penalty has a minus sign because the generator maximises (68.123):
    with the plus sign as printed it would be paid for large weights, without bound (erratum S21).
    """
    cross_entropy = MINIMAX.discriminator_loss(discriminator, h, h_hat)
    return -rho * penalty(generator) + rho * penalty(discriminator) + cross_entropy


def generator_payoff(generator: nn.Module, D: Judge, h_hat: Tensor, rho: float, objective: Game) -> Tensor:
    """Return what the generator maximises: -ρ Σ ‖W_g‖² minus the mean loss of its fakes (68.124), (68.125).

    The mean is over the B fakes alone; with 1/N = 1/2B as printed, ρ would weigh twice as much (erratum S41).
    """
    return -rho * penalty(generator) - objective.generator_loss(D, h_hat)
