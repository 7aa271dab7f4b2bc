"""Players, objectives, known worlds and single moves of adversarial networks.

Objectives are compared with the game's definition and with autograd; everything is in float64.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from gennet.autoencoder import copy_weights
from gennet.backprop import LINEAR, RELU, TANH, draw
from gennet.backprop import gan as by_hand
from gennet.gan import (
    MINIMAX,
    NON_SATURATING,
    Discriminator,
    Generator,
    Objective,
    game,
    line,
    smoothed,
    worlds,
)
from gennet.gan.networks import example_68_6
from gennet.gan.objectives import estimate, generator_payoff, joint_risk, penalty, value

AUTOGRAD = 1e-10
RHO = 0.05


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def players() -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    return Generator([2, 5, 4], hidden="tanh", output="tanh"), Discriminator([4, 6, 3, 2], hidden="tanh")


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Return real samples and latent vectors."""
    dice = torch.Generator().manual_seed(1)
    return torch.randn(7, 4, generator=dice), torch.randn(7, 2, generator=dice)


# Players


@pytest.mark.equation("68.101", "68.108")
def test_shapes_of_players(players, batch):
    generator, discriminator = players
    h, u = batch
    assert generator(u).shape == (7, 4) and discriminator(h).shape == (7,)
    assert discriminator.answer(h).shape == (7,) and not discriminator.answer(h).requires_grad
    assert generator.sample(9, seed=3).shape == (9, 4)
    assert torch.equal(generator.sample(9, seed=3), generator.sample(9, seed=3))
    assert not torch.equal(generator.sample(9, seed=3), generator.sample(9, seed=4))
    assert Discriminator([4, 1])(h).shape == (7,)


def test_players_are_those_by_hand(players, batch):
    rng = np.random.default_rng(2)
    g = draw([2, 5, 4], [RELU, TANH], rng)
    d = draw([4, 6, 3, 2], [RELU, RELU, LINEAR], rng)
    generator, discriminator = Generator([2, 5, 4], output="tanh"), Discriminator([4, 6, 3, 2])
    copy_weights(g, generator)
    copy_weights(d, discriminator)
    _, u = batch
    passed = by_hand.forward_gan(g, d, u.numpy())
    assert np.abs(generator(u).detach().numpy() - passed.g.y[-1]).max() < AUTOGRAD
    answers = discriminator.answer(generator(u)).numpy()
    assert np.abs(answers - passed.gamma_hat[:, 0]).max() < AUTOGRAD


@pytest.mark.equation("68.175")
def test_networks_of_example_68_6():
    generator, discriminator = example_68_6()
    counts = [sum(part.numel() for part in player.parameters()) for player in (generator, discriminator)]
    assert counts == [1_461_264, 1_460_482]
    assert generator(torch.zeros(1, 2)).abs().max() < 1
    widths = [layer.out_features for layer in discriminator.layers if hasattr(layer, "out_features")]
    assert widths == [1024, 512, 256, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Discriminator([4, 3]), "expected 1 or 2 outputs"),
        (lambda: Generator([4]), "at least two sizes"),
        (lambda: Generator([4, 3], hidden="swish"), "no activation 'swish'; there are linear"),
        (lambda: Generator([2, 3])(torch.zeros(5, 3)), r"rows of 2 numbers, got shape \(5, 3\)"),
        (lambda: Discriminator([784, 2])(torch.zeros(5, 28, 28)), "Flatten images first"),
        (lambda: smoothed(0.4), "above 0.5"),
        (lambda: worlds.coverage(np.zeros((100, 2)), worlds.ring()), "at least 160"),
        (lambda: worlds.coverage(np.zeros((200, 3)), worlds.ring()), "at least 160"),
        (lambda: line.play(np.arange(3.0), np.ones(3), mean=0, width=1, moves="DDX"), "got X"),
    ],
)
def test_bad_input_is_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()


# Objectives


def gradients(loss: Tensor, module: torch.nn.Module) -> list[Tensor]:
    return torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)


def largest(ours: list[Tensor], theirs: list[Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.equation("CR20", "KA1", "68.109", "68.124")
def test_minimax_players_climb_and_descend_one_value(players, batch):
    generator, discriminator = players
    h, u = batch
    D, D_hat = (torch.sigmoid(discriminator(x)) for x in (h, generator(u)))
    V = torch.log(D).mean() + torch.log(1 - D_hat).mean()
    assert value(discriminator, h, generator(u)).item() == pytest.approx(V.item(), abs=AUTOGRAD)
    loss_d = MINIMAX.discriminator_loss(discriminator, h, generator(u).detach())
    assert largest(gradients(loss_d, discriminator), [-g / 2 for g in gradients(V, discriminator)]) < AUTOGRAD
    loss_g = MINIMAX.generator_loss(discriminator, generator(u))
    assert largest(gradients(loss_g, generator), gradients(V, generator)) < AUTOGRAD
    # a small step of each does what it asks for: D(h) up, D(ĥ) down; then D(ĥ) up
    slopes_d, slopes_g = gradients(loss_d, discriminator), gradients(loss_g, generator)
    with torch.no_grad():
        for part, slope in zip(generator.parameters(), slopes_g, strict=True):
            part -= 1e-3 * slope
        assert discriminator.answer(generator(u)).log1p().mean() > D_hat.log1p().mean()
        for part, slope in zip(generator.parameters(), slopes_g, strict=True):
            part += 1e-3 * slope
        for part, slope in zip(discriminator.parameters(), slopes_d, strict=True):
            part -= 1e-3 * slope
    assert value(discriminator, h, generator(u)) > V


@pytest.mark.equation("YA12", "68.125")
@pytest.mark.erratum("Y9")
def test_log_d_trick_pushes_the_same_way_in_another_game():
    z = torch.linspace(-6, 6, 25, requires_grad=True)
    slopes = {}
    for kind, objective in (("saturating", MINIMAX), ("non-saturating", NON_SATURATING)):
        (slope,) = torch.autograd.grad(objective.pretend(z).sum(), z)
        ours = game.generator_slope(z.detach().numpy(), kind)
        slopes[kind] = -slope.numpy()  # what the generator climbs
        assert np.abs(slope.numpy() - (ours if kind == "saturating" else -ours)).max() < AUTOGRAD
    assert all((slope > 0).all() for slope in slopes.values())
    assert slopes["non-saturating"][0] / slopes["saturating"][0] == pytest.approx(np.exp(6))
    # said to be the same objective: but the sum of what both players minimise is no longer fixed
    h, h_hat = torch.randn(5, 1), torch.randn(5, 1)

    def total(objective: Objective, shift: float) -> float:
        def D(x: Tensor) -> Tensor:
            return x[:, 0] + shift

        return (2 * objective.discriminator_loss(D, h, h_hat) + objective.generator_loss(D, h_hat)).item()

    real = [torch.nn.functional.softplus(-h - shift).mean().item() for shift in (0.0, 1.0)]
    assert [total(MINIMAX, shift) for shift in (0.0, 1.0)] == pytest.approx(real, abs=AUTOGRAD)
    assert total(NON_SATURATING, 0.0) > total(MINIMAX, 0.0)


@pytest.mark.erratum("S48")
def test_solution_stays_stationary_for_both_losses(players, batch):
    """A discriminator that answers ½ everywhere gives the generator no gradient, whatever the loss."""
    generator, _ = players
    _, u = batch
    for objective in (MINIMAX, NON_SATURATING):
        loss = objective.generator_loss(lambda x: 0 * x.sum(dim=1), generator(u))
        assert max(g.abs().max() for g in gradients(loss, generator)) == 0


@pytest.mark.erratum("S37")
def test_best_discriminator_at_the_solution_knows_nothing():
    f = np.random.default_rng(3).dirichlet(np.ones(6))
    assert game.optimal_discriminator(f, f).tolist() == [0.5] * 6  # no classifier of real and fake


@pytest.mark.erratum("C14")
def test_discriminator_trained_on_real_data_alone_learns_nothing_but_yes():
    """Trained first on real data, it answers 1 everywhere, and the saturating loss has no slope left."""
    bias = torch.zeros(1, requires_grad=True)
    for _ in range(2000):
        (slope,) = torch.autograd.grad(NON_SATURATING.real(bias).mean(), bias)
        bias = (bias - slope).detach().requires_grad_()
    assert torch.sigmoid(bias) > 0.999
    confident = -7.0  # a discriminator that is sure of a fake
    assert abs(game.generator_slope(confident, "saturating")) < 1e-3
    assert game.generator_slope(confident, "non-saturating") > 0.99


@pytest.mark.equation("68.119", "68.121", "68.122")
def test_joint_risk(players, batch):
    generator, discriminator = players
    h, u = batch
    h_hat = generator(u)
    z = torch.stack([discriminator(torch.cat([h, h_hat])), torch.zeros(14)], dim=1).detach().numpy()
    weights = [W.detach().numpy() for W in discriminator.parameters() if W.ndim == 2]
    is_real = np.arange(14) < 7
    of_discriminator = game.risk(z, game.labels(is_real), tuple(weights), RHO)
    ours = joint_risk(generator, discriminator, h, h_hat, RHO).item()
    assert ours == pytest.approx(of_discriminator - RHO * penalty(generator).item(), abs=AUTOGRAD)


@pytest.mark.equation("68.119", "68.123")
@pytest.mark.erratum("S21")
def test_generator_is_not_paid_for_large_weights(players, batch):
    generator, discriminator = players
    h, u = batch
    energy = penalty(generator).item()
    corrected, printed = [], []
    for scale in (1, 10, 100):
        torch.manual_seed(0)
        large = Generator([2, 5, 4], hidden="tanh", output="tanh")
        large.load_state_dict(generator.state_dict())
        with torch.no_grad():
            for W in large.parameters():
                W *= scale if W.ndim == 2 else 1
        risk = joint_risk(large, discriminator, h, large(u), RHO).item()
        corrected.append(risk)
        printed.append(risk + 2 * RHO * scale**2 * energy)
    assert corrected == sorted(corrected, reverse=True) and corrected[-1] < -100
    assert printed == sorted(printed) and printed[-1] > 100  # maximised without bound


@pytest.mark.equation("68.123", "68.124", "68.125")
@pytest.mark.erratum("S21")
def test_generator_step_climbs_its_payoff(players, batch):
    """One step of gradient ascent, with weight decay as the optimisers of the loop do it."""
    generator, discriminator = players
    _, u = batch
    for objective in (MINIMAX, NON_SATURATING):
        payoff = generator_payoff(generator, discriminator, generator(u), RHO, objective)
        D = torch.sigmoid(discriminator(generator(u)))
        term = -torch.log(1 - D).mean() if objective is MINIMAX else torch.log(D).mean()
        assert payoff.item() == pytest.approx((term - RHO * penalty(generator)).item(), abs=AUTOGRAD)
        by_loop = gradients(objective.generator_loss(discriminator, generator(u)), generator)
        for part, slope, up in zip(
            generator.parameters(), by_loop, gradients(payoff, generator), strict=True
        ):
            decay = 2 * RHO * part if part.ndim == 2 else 0.0
            assert (-(slope + decay) - up).abs().max() < AUTOGRAD


def test_soft_labels_are_the_cross_entropy_with_two_entries(batch):
    h, _ = batch
    z = h[:, 0].clone().requires_grad_()
    log_gamma_hat = torch.log_softmax(torch.stack([z, torch.zeros(7)], dim=1), dim=1)
    by_definition = -(log_gamma_hat @ torch.tensor([0.9, 0.1]))
    assert largest([smoothed(0.9).real(z)], [by_definition]) < AUTOGRAD
    assert largest([smoothed(1.0).real(z)], [NON_SATURATING.real(z)]) == 0


def test_losses_stay_finite():
    z = torch.tensor([-1e4, 1e4], requires_grad=True)
    for objective in (MINIMAX, NON_SATURATING, smoothed()):
        for part in (objective.real, objective.fake, objective.pretend):
            loss = part(z)
            assert torch.isfinite(loss).all()
            assert torch.isfinite(torch.autograd.grad(loss.sum(), z)[0]).all()


def test_estimate_of_the_value_and_its_error():
    """On two Gaussians with the best discriminator: the value and its standard error are right."""
    dice = torch.Generator().manual_seed(4)

    def D(x: Tensor) -> Tensor:
        return 0.5 - x[:, 0]  # ln f - ln g for N(0, 1) and N(1, 1)

    h = np.linspace(-12, 13, 5001)
    exact = game.best_value(line.bumps(h), line.bumps(h, 1.0), h[1] - h[0])
    runs = []
    for _ in range(200):
        real, fake = torch.randn(500, 1, generator=dice), torch.randn(500, 1, generator=dice) + 1
        runs.append(estimate(D, real, fake))
    values, errors = np.array(runs).T
    assert abs(values.mean() - exact) < 5 * errors.mean() / np.sqrt(200)
    assert values.std() == pytest.approx(errors.mean(), rel=0.25)


# Worlds


@pytest.mark.parametrize("world", [worlds.ring(), worlds.grid()], ids=["ring", "grid"])
def test_world_against_its_own_samples(world: worlds.World):
    rng = np.random.default_rng(5)
    samples = world.sample(20_000, rng)
    found = worlds.coverage(samples, world)
    K = len(world.centres)
    assert found.modes == K
    assert found.good == pytest.approx(1 - np.exp(-4.5), abs=5 * np.sqrt(0.011 / 20_000))
    if K == 8:
        total, _ = quad(
            lambda x: quad(lambda y: world.density(np.array([x, y])), 1.0, 1.8, limit=60)[0], 1.0, 1.8
        )
        assert total == pytest.approx(1 / 8, abs=1e-4)  # one of the eight, at (√2, √2)
    inside = np.abs(samples - world.centres[0]).max(axis=1) < 0.4
    assert inside.mean() == pytest.approx(1 / K, abs=5 * np.sqrt(1 / K / 20_000))


def test_coverage_counts_modes_and_good_samples():
    world = worlds.grid()
    rng = np.random.default_rng(6)
    collapsed = world.centres[:3].repeat(400, axis=0) + 0.05 * rng.normal(size=(1200, 2))
    assert worlds.coverage(collapsed, world) == (3, 1.0)
    between = np.full((600, 2), 0.5)
    assert worlds.coverage(np.concatenate([collapsed[:600], between]), world).good == 0.5
    assert worlds.coverage(np.full((600, 2), 50.0), world) == (0, 0.0)
    stray = np.concatenate([collapsed, world.centres[10:11]])  # one point covers nothing
    assert worlds.coverage(stray, world).modes == 3


# Single moves on a line


def test_forces_on_the_line_are_slopes_of_the_value():
    h = np.linspace(-8, 9, 3401)
    f, step = line.bumps(h), 1e-5
    now = line.play(h, f, mean=1.0, width=0.8, apart=1.0, moves="ddd")

    def at(mean: float, width: float) -> float:
        return game.value(now.D, f, line.bumps(h, mean, width, 1.0), h[1] - h[0])

    assert now.force_mean == pytest.approx(-(at(1 + step, 0.8) - at(1 - step, 0.8)) / (2 * step), abs=1e-4)
    assert now.force_width == pytest.approx(-(at(1, 0.8 + step) - at(1, 0.8 - step)) / (2 * step), abs=1e-4)
    assert now.value == pytest.approx(at(1.0, 0.8), abs=1e-12)


def test_moves_on_the_line():
    h = np.linspace(-8, 9, 1701)
    f = line.bumps(h)
    still = line.play(h, f, mean=2.0, width=0.6)
    assert still.value == pytest.approx(-np.log(4), abs=1e-9) and still.force_mean == 0
    by_turns = line.play(h, f, mean=2.0, width=0.6, moves="DG" * 60)
    assert abs(by_turns.mean) < 0.01 and abs(by_turns.width - 1) < 0.01
    assert by_turns.value == pytest.approx(-np.log(4), abs=1e-4)
    frozen = line.play(h, f, mean=2.0, width=0.6, moves="D" * 8 + "G" * 20)
    assert frozen.value < -np.log(4) - 1  # a win over an outdated opponent
    assert game.best_value(f, frozen.g, h[1] - h[0]) > -1.2


def test_bumps_are_what_is_drawn():
    rng = np.random.default_rng(7)
    drawn = line.draw_bumps(40_000, rng, 0.5, 0.6, 2.4)[:, 0]
    h = np.linspace(-6, 7, 1301)
    density = line.bumps(h, 0.5, 0.6, 2.4)
    assert density.sum() * 0.01 == pytest.approx(1, abs=1e-9)
    assert drawn.mean() == pytest.approx(0.5, abs=0.04)
    assert drawn.var() == pytest.approx((density * (h - 0.5) ** 2).sum() * 0.01, rel=0.03)
