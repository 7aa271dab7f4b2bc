"""The training loop of adversarial networks: the listings step for step, interruption, trouble in words."""

import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gennet.autoencoder import copy_weights
from gennet.backprop import LINEAR, TANH, Network, draw, forward
from gennet.backprop import gan as by_hand
from gennet.gan import MINIMAX, NON_SATURATING, Discriminator, Generator, Objective, smoothed, worlds
from gennet.training.gan import TrainingTrouble, adam, symptoms, train_discriminator, train_gan

LR, RHO, B = 0.2, 0.03, 6


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def X() -> Tensor:
    return torch.randn(30, 3, generator=torch.Generator().manual_seed(0))


def hand_made(seed: int = 0) -> tuple[Network, Network]:
    rng = np.random.default_rng(seed)
    players = draw([2, 5, 3], [TANH, TANH], rng), draw([3, 6, 4, 2], [TANH, TANH, LINEAR], rng)
    return tuple(Network(p.W, [rng.normal(size=len(t)) for t in p.theta], p.f) for p in players)


def players(seed: int = 0) -> tuple[Generator, Discriminator]:
    """Return the same two networks in PyTorch."""
    g, d = hand_made(seed)
    generator = Generator([2, 5, 3], hidden="tanh", output="tanh")
    discriminator = Discriminator([3, 6, 4, 2], hidden="tanh")
    copy_weights(g, generator)
    copy_weights(d, discriminator)
    return generator, discriminator


def difference(network: Network, module: nn.Module) -> float:
    """Return the largest difference between the parameters of a network by hand and of a module."""
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    pairs = [(W, layer.weight.detach().numpy().T) for W, layer in zip(network.W, linear, strict=True)]
    pairs += [(t, -layer.bias.detach().numpy()) for t, layer in zip(network.theta, linear, strict=True)]
    return max(np.abs(a - b).max() for a, b in pairs)


def state(*modules: nn.Module) -> list[Tensor]:
    return [part.clone() for module in modules for part in module.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Recorder:
    """The non-saturating game, which writes down the samples that it is shown, and in which order."""

    name, logits = "recorder", True

    def __init__(self, stop_at: int = 0) -> None:
        self.shown: list[tuple] = []
        self.stop_at = stop_at

    def discriminator_loss(self, D: Callable, h: Tensor, h_hat: Tensor) -> Tensor:
        self.show("D", h, h_hat)
        return NON_SATURATING.discriminator_loss(D, h, h_hat)

    def generator_loss(self, D: Callable, h_hat: Tensor) -> Tensor:
        self.show("G", h_hat)
        return NON_SATURATING.generator_loss(D, h_hat)

    def restrain(self, discriminator: nn.Module) -> None:
        pass

    def show(self, player: str, *samples: Tensor) -> None:
        self.shown.append((player, *(x.detach().clone() for x in samples)))
        if self.stop_at == len(self.shown):
            signal.raise_signal(signal.SIGINT)

    @property
    def order(self) -> str:
        return "".join(entry[0] for entry in self.shown)


# The listings


@pytest.mark.equation("68.155", "68.160", "68.161", "SA2", "KA2")
@pytest.mark.parametrize(("K_d", "K_g"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_loop_is_the_listing_step_for_step(X: Tensor, K_d: int, K_g: int):
    """From the same weights, batches and latent vectors both give the same weights at the end."""
    generator, discriminator = players()
    game = Recorder()
    train_gan(
        generator, discriminator, X, latent=2, epochs=2, objective=game, lr=LR, batch=B, K_d=K_d, K_g=K_g,
        rho=RHO, optimiser=torch.optim.SGD, seed=5,
    )  # fmt: skip
    steps = 2 * 30 // B
    assert game.order == ("D" * K_d + "G" * K_g) * (steps // K_d) + "D" * (steps % K_d)

    g, d = hand_made()
    dice = torch.Generator().manual_seed(5)
    step = 0
    for _ in range(2):
        for rows in torch.randperm(30, generator=dice).split(B):
            h_hat = forward(g, torch.randn(B, 2, generator=dice).numpy()).y[-1]
            d = by_hand.discriminator_step(d, X[rows].numpy(), h_hat, LR, RHO)
            step += 1
            if step % K_d == 0:
                for _ in range(K_g):
                    g = by_hand.generator_step(g, d, torch.randn(B, 2, generator=dice).numpy(), LR, RHO)
    assert difference(g, generator) < 1e-10
    assert difference(d, discriminator) < 1e-10


def test_recycled_fakes_are_shown_to_both(X: Tensor):
    generator, discriminator = players()
    game = Recorder()
    train_gan(generator, discriminator, X, latent=2, epochs=1, objective=game, batch=B, recycle=True)
    assert game.order == "GD" * 5
    for (_, pretended), (_, _, judged) in zip(game.shown[::2], game.shown[1::2], strict=True):
        assert torch.equal(pretended, judged)
    assert not torch.equal(game.shown[0][1], game.shown[2][1])


def test_generator_step_leaves_the_discriminator_alone(X: Tensor):
    """Neither its weights nor its gradients change."""
    generator, discriminator = players()
    seen = []

    class Watching(Recorder):
        def generator_loss(self, D: Callable, h_hat: Tensor) -> Tensor:
            seen.append([part.grad.clone() for part in discriminator.parameters()])
            return super().generator_loss(D, h_hat)

    train_gan(generator, discriminator, X, latent=2, epochs=1, objective=Watching(), batch=30)
    assert same(seen[0], [part.grad for part in discriminator.parameters()])
    assert all(part.grad is not None for part in generator.parameters())


def test_noise_reaches_all_that_the_discriminator_sees(X: Tensor):
    clean, noisy = Recorder(), Recorder()
    for game, noise in ((clean, 0.0), (noisy, 0.5)):
        train_gan(*players(), X, latent=2, epochs=40, objective=game, batch=30, noise=noise, lr=1e-9)
    for which in (1, 2):
        spread = [
            torch.stack([entry[which] for entry in game.shown if entry[0] == "D"]).var().item()
            for game in (clean, noisy)
        ]
        assert spread[1] - spread[0] == pytest.approx(0.25, abs=0.05)


def test_objective_with_a_state_is_saved_and_restrains(X: Tensor, tmp_path: Path):
    class Clipped(nn.Module):
        """A game with a number of its own, and a bound on the weights."""

        name, logits = "clipped", False

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def discriminator_loss(self, D: Callable, h: Tensor, h_hat: Tensor) -> Tensor:
            self.calls += 1
            return D(h_hat).mean() - D(h).mean()

        def generator_loss(self, D: Callable, h_hat: Tensor) -> Tensor:
            return -D(h_hat).mean()

        def restrain(self, discriminator: nn.Module) -> None:
            with torch.no_grad():
                for part in discriminator.parameters():
                    part.clamp_(-0.1, 0.1)

    generator, discriminator = players()
    file = tmp_path / "state"
    train_gan(generator, discriminator, X, latent=2, epochs=2, objective=Clipped(), batch=B, checkpoint=file)
    assert max(part.abs().max() for part in discriminator.parameters()) <= 0.1
    again = Clipped()
    train_gan(*players(), X, latent=2, epochs=3, objective=again, batch=B, checkpoint=file)
    assert again.calls == 15


def test_history_has_the_mean_losses(X: Tensor):
    history = train_gan(*players(), X, latent=2, epochs=3, batch=8, lr=1e-12, objective=MINIMAX)
    assert set(history) == {"discriminator", "generator"} and len(history["generator"]) == 3
    generator, discriminator = players()
    real = torch.nn.functional.softplus(-discriminator(X)).mean()
    fake = torch.nn.functional.softplus(discriminator(generator.sample(3000))).mean()
    assert np.mean(history["discriminator"]) == pytest.approx(((real + fake) / 2).item(), abs=0.03)


# Interruption


@pytest.mark.parametrize("options", [{}, {"recycle": True}, {"K_d": 2, "K_g": 2, "noise": 0.1}], ids=str)
def test_interrupted_training_goes_on_to_the_same_result(X: Tensor, tmp_path: Path, options: dict):
    common = {"latent": 2, "epochs": 4, "batch": B, "lr": 0.01, "rho": RHO, "seed": 3} | options
    straight = players()
    wanted = train_gan(*straight, X, objective=Recorder(), **common)
    file = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt, match="saved to"):
        train_gan(*players(), X, objective=Recorder(stop_at=13), checkpoint=file, **common)
    resumed = players(seed=9)  # other weights: those of the file are taken
    history = train_gan(*resumed, X, objective=Recorder(), checkpoint=file, **common)
    assert same(state(*straight), state(*resumed))
    assert history == wanted


def test_checkpoint_of_another_game_is_refused(X: Tensor, tmp_path: Path):
    file = tmp_path / "state"
    train_gan(*players(), X, latent=2, epochs=1, batch=B, checkpoint=file)
    with pytest.raises(ValueError, match=r"objective non-saturating, now minimax"):
        train_gan(*players(), X, latent=2, epochs=2, batch=B, objective=MINIMAX, checkpoint=file)


# Trouble


def warned(action: Callable) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return [str(warning.message) for warning in caught if warning.category is TrainingTrouble]


def test_diverging_training_is_stopped_in_words(X: Tensor):
    def square(z: Tensor) -> Tensor:
        return z**2

    runaway = Objective("squares", square, lambda z: -square(z), square, logits=False)
    with pytest.raises(FloatingPointError, match=r"train_gan: the .* is .*lower the step size"):
        train_gan(
            *players(), X, latent=2, epochs=200, objective=runaway, lr=1e6, batch=B,
            optimiser=torch.optim.SGD,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("bias", "weight", "name"), [(0.0, 9.0, "certain"), (9.0, 0.0, "stuck"), (-9.0, 0.0, "stuck")]
)
def test_certain_and_stuck_discriminators_are_noticed(bias: float, weight: float, name: str):
    X = torch.randn(600, 1, generator=torch.Generator().manual_seed(1)) + 8
    torch.manual_seed(0)
    generator, discriminator = Generator([1, 1]), Discriminator([1, 1])
    with torch.no_grad():
        generator.layers[0].weight.fill_(1.0)
        generator.layers[0].bias.fill_(0.0)
        discriminator.layers[0].weight.fill_(weight)
        discriminator.layers[0].bias.fill_(bias - 4 * weight)
    before = state(generator, discriminator), torch.get_rng_state()
    found = symptoms(generator, discriminator, X, 1)
    assert list(found) == [name] or list(found) == [name, "collapsed"]
    assert "Lower lr_d" in found[name]
    assert same(before[0], state(generator, discriminator)) and torch.equal(before[1], torch.get_rng_state())
    assert generator.training and discriminator.training
    assert name not in symptoms(generator, discriminator, X, 1, Objective("", *[torch.abs] * 3, logits=False))


def test_collapse_is_noticed():
    world = worlds.ring()
    X = torch.tensor(world.sample(2000, np.random.default_rng(2)))
    torch.manual_seed(1)
    discriminator, generator = Discriminator([2, 8, 1]), Generator([2, 8, 2])
    with torch.no_grad():
        generator.layers[-2].weight.mul_(1e-3)
        generator.layers[-2].bias.copy_(torch.tensor(world.centres[2]))
    found = symptoms(generator, discriminator, X, 2)
    assert list(found) == ["collapsed"] and "K_d" in found["collapsed"]

    class Real(nn.Module):
        """A generator that cannot be told from the data."""

        def forward(self, u: Tensor) -> Tensor:
            return torch.tensor(world.sample(len(u), np.random.default_rng(3)))

    assert symptoms(Real(), discriminator, X, 2) == {}


def test_trouble_is_said_once_while_training_runs():
    """A generator that may not move, against a quick discriminator."""
    X = torch.randn(500, 1, generator=torch.Generator().manual_seed(4)) + 9
    torch.manual_seed(5)
    said = warned(
        lambda: train_gan(
            Generator([1, 8, 1]),
            Discriminator([1, 8, 2]),
            X,
            latent=1,
            epochs=60,
            lr=1e-9,
            lr_d=0.02,
            batch=20,
        )
    )
    assert sum("certain" in sentence for sentence in said) == 1
    assert all("Lower" in sentence or "more steps" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"K_d": 0}, "at least 1"),
        ({"K_g": 2, "recycle": True}, "1 with recycle"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_bad_settings_are_refused(X: Tensor, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        train_gan(*players(), X, **({"latent": 2, "epochs": 1} | options))


def test_samples_that_do_not_fit_are_refused(X: Tensor):
    with pytest.raises(ValueError, match=r"fakes have shape \(3,\), real samples \(2,\)"):
        train_gan(*players(), X[:, :2], latent=2, epochs=1)
    with pytest.raises(ValueError, match="NaN"):
        train_gan(*players(), X / 0 * 0, latent=2, epochs=1)


# What it learns


def test_gan_learns_a_gaussian():
    """Adam, three seeds: mean and spread of the data are found, and no trouble is reported."""
    for seed in range(3):
        X = 2 + 0.5 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(seed))
        torch.manual_seed(seed)
        G, D = Generator([1, 8, 1], hidden="tanh"), Discriminator([1, 16, 2], hidden="tanh")
        options = {"latent": 1, "batch": 100, "K_d": 2, "seed": seed, "objective": smoothed()}
        said = warned(lambda: train_gan(G, D, X, epochs=15, lr=4e-3, lr_d=8e-3, **options))  # noqa: B023
        train_gan(G, D, X, epochs=5, lr=1e-3, lr_d=2e-3, **options)
        fakes = G.sample(4000)
        assert not said
        assert abs(fakes.mean() - 2) < 0.2 and 0.25 < fakes.std() < 0.8


@pytest.mark.equation("68.107", "68.100")
def test_trained_discriminator_answers_as_the_best_one():
    """On two Gaussians of one width the best logit is a straight line: h - ½."""
    dice = torch.Generator().manual_seed(6)
    h, h_hat = torch.randn(6000, 1, generator=dice) + 1, torch.randn(3000, 1, generator=dice)
    torch.manual_seed(7)
    D = Discriminator([1, 2])
    risks = train_discriminator(D, h, h_hat, epochs=12, lr=0.02, batch=300)
    line = D(torch.tensor([[0.0], [1.0]])).detach()
    assert line[0] == pytest.approx(-0.5 + np.log(2), abs=0.15)  # twice as many real samples
    assert line[1] - line[0] == pytest.approx(1, abs=0.15)
    assert risks[-1] < risks[0]


def test_optimiser_is_that_of_example_68_6():
    group = adam([nn.Parameter(torch.zeros(1))], 2e-4).param_groups[0]
    assert (group["lr"], group["betas"], group["eps"]) == (2e-4, (0.5, 0.999), 1e-8)


@pytest.mark.erratum("S43")
def test_penalty_goes_through_adam():
    """The text has Adam and ρ together. The penalty is part of the risk: its gradient goes through Adam.

    Decoupled decay is something else: three weights of 1, with steady gradients of three sizes, part.
    """
    ended = {}
    for name, maker in (("ours", adam), ("decoupled", torch.optim.AdamW), ("by autograd", adam)):
        w = torch.ones(3, 1, requires_grad=True)
        slopes = torch.tensor([[1.0], [0.01], [0.0001]])
        decay = 0.0 if name == "by autograd" else 2 * 0.01
        options = {"betas": (0.5, 0.999)} if name == "decoupled" else {}
        descent = maker([{"params": [w], "weight_decay": decay}], lr=0.01, **options)
        for _ in range(200):
            descent.zero_grad()
            risk = (slopes * w).sum() + (0.01 * w.square().sum() if name == "by autograd" else 0.0)
            risk.backward()
            descent.step()
        ended[name] = w.detach().numpy()[:, 0]
    assert ended["ours"] == pytest.approx([-0.981, -0.275, 0.032], abs=5e-4)
    assert ended["ours"] == pytest.approx(ended["by autograd"], abs=1e-10)
    assert ended["decoupled"] == pytest.approx([-1, -1, -1], abs=5e-3)
