"""Conditional adversarial networks in PyTorch: labels that leak or do not, C + 1 outputs, the loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gennet.autoencoder import copy_weights
from gennet.backprop import LINEAR, SIGMOID, TANH, Network, draw
from gennet.backprop import cgan as by_hand
from gennet.cgan import (
    ClassDiscriminator,
    label_as_printed,
    label_leak,
    logit,
    minus_log_class,
    minus_log_fake,
    minus_log_real,
    on_demand,
    variety,
    with_label,
)
from gennet.cvae import one_hot
from gennet.gan import NON_SATURATING, Discriminator, Generator, game
from gennet.gan.worlds import ring
from gennet.training.cgan import train_cgan, train_class_gan
from gennet.training.gan import train_discriminator, train_gan

P, M, C, B = 2, 5, 3, 8


@pytest.fixture(autouse=True)
def _float64():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks are slower on several
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Return samples and their classes."""
    dice = torch.Generator().manual_seed(0)
    return torch.rand(B, M, generator=dice), torch.randint(C, (B,), generator=dice)


def state(*modules: nn.Module) -> list[Tensor]:
    return [part.clone() for module in modules for part in module.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# Labels


@pytest.mark.equation("68.162", "68.163")
def test_labels_as_printed():
    """The example of the text: C = 5 classes, the second one."""
    assert label_as_printed(torch.tensor([1]), 5).tolist() == [[0, 1, 0, 0, 0, 0]]
    assert label_as_printed(torch.tensor([1, 4]), 5, fake=True).tolist() == 2 * [[0, 0, 0, 0, 0, 1]]
    for bad in ([5], [-1]):
        with pytest.raises(ValueError, match="5 classes are counted from 0"):
            label_as_printed(torch.tensor(bad), 5)


@pytest.mark.equation("68.164", "68.165")
def test_sizes_of_both_designs(batch):
    h, labels = batch
    u = torch.zeros(B, P)
    for gamma, more in ((one_hot(labels, C), C), (label_as_printed(labels, C), C + 1)):
        u_prime, h_prime = with_label(u, gamma), with_label(h, gamma)
        assert u_prime.shape == (B, P + more) and h_prime.shape == (B, M + more)
        assert torch.equal(h_prime[:, :M], h) and torch.equal(h_prime[:, M:], gamma)
        assert Generator([P + more, 4, M])(u_prime).shape == (B, M)
        assert Discriminator([M + more, 4, 2])(h_prime).shape == (B,)
    with pytest.raises(ValueError, match="Flatten images, and write classes as vectors"):
        with_label(h, labels)
    with pytest.raises(ValueError, match=r"rows of shape \(8, 5\) and labels of shape \(7, 3\)"):
        with_label(h, one_hot(labels[:-1], C))


def drawn(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw points of three Gaussians in the plane, and their classes: real ones, or perfect fakes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    h = ring(3).centres[labels] + 0.5 * rng.standard_normal((n, 2))
    return torch.tensor(h), torch.tensor(labels)


def opponent(gamma: Tensor, gamma_hat: Tensor, seed: int = 0) -> tuple[float, float, Discriminator]:
    """Let a discriminator with labels learn real points from perfect fakes; return risk, accuracy, itself."""
    n = len(gamma)
    h, h_hat = (drawn(n, seed + k)[0] for k in (0, 1000))
    torch.manual_seed(seed)
    D = Discriminator([2 + gamma.shape[1], 16, 2], hidden="tanh")
    h, h_hat = with_label(h, gamma), with_label(h_hat, gamma_hat)
    train_discriminator(D, h, h_hat, epochs=8, lr=1e-2, batch=200, seed=seed)
    with torch.no_grad():
        risk = NON_SATURATING.discriminator_loss(D, h, h_hat).item()
    return risk, ((D.answer(h) > 0.5).sum() + (D.answer(h_hat) < 0.5).sum()).item() / (2 * n), D


@pytest.mark.equation("68.163")
@pytest.mark.erratum("S28")
def test_printed_label_gives_the_answer_away_and_the_usual_one_does_not():
    """Against fakes that follow the law of the real points exactly."""
    n = 3000
    labels, asked = drawn(n, 0)[1], drawn(n, 1000)[1]
    printed = label_as_printed(labels, 3), label_as_printed(asked, 3, fake=True)
    assert label_leak(*printed) == 1
    risk, accuracy, D = opponent(*printed)
    assert risk < 0.01 and accuracy == 1
    h_hat = with_label(drawn(n, 5)[0], printed[1]).requires_grad_()
    (slope,) = torch.autograd.grad(-nn.functional.softplus(D(h_hat)).sum(), h_hat)  # of Σ ln(1 - D)
    assert slope[:, :2].abs().mean() < 1e-2

    usual = one_hot(labels, 3), one_hot(asked, 3)
    assert abs(label_leak(*usual) - 0.5) < 0.03  # sampling error of the classes
    assert label_leak(usual[0], usual[0]) == 0.5
    risk, accuracy, _ = opponent(*usual)
    assert abs(risk - np.log(2)) < 0.01 and abs(accuracy - 0.5) < 0.04


@pytest.mark.equation("68.163")
def test_label_alone_reaches_zero_loss():
    """A discriminator that sees nothing but the printed label."""
    labels = torch.arange(900) % 3
    gamma, gamma_hat = label_as_printed(labels, 3), label_as_printed(labels, 3, fake=True)
    torch.manual_seed(0)
    losses = train_discriminator(Discriminator([4, 2]), gamma, gamma_hat, epochs=60, lr=0.1, batch=100)
    assert losses[0] > 0.2 and losses[-1] < 2e-3


@pytest.mark.erratum("S28")
def test_value_of_the_game_with_labels_on_a_table():
    """Printed: 0 whatever the generator does. Usual: the mean over the classes of games of their own."""
    rng = np.random.default_rng(1)
    classes = rng.dirichlet(np.ones(C))
    f, g = rng.dirichlet(np.ones(6), size=(2, C))  # laws of h given c, real and fake
    real, fake = classes[:, None] * f, classes[:, None] * g  # (C, H)
    nothing = np.zeros((1, 6))
    for law in (fake, real):  # any generator, and a perfect one
        as_printed = np.vstack([real, nothing]), np.vstack([0 * law, law.sum(axis=0)])
        assert game.best_value(*(table.ravel() for table in as_printed)) == pytest.approx(0, abs=1e-12)
    by_class = sum(p * game.best_value(a, b) for p, a, b in zip(classes, f, g, strict=True))
    assert game.best_value(real.ravel(), fake.ravel()) == pytest.approx(by_class, abs=1e-12)
    assert game.best_value(real.ravel(), real.ravel()) == pytest.approx(-np.log(4), abs=1e-12)


def test_leak_of_unequal_frequencies():
    """Perfect fakes in other proportions: ½ Σ max(p, q)."""
    gamma = one_hot(torch.tensor([0] * 5 + [1] * 3 + [2] * 2), 3)
    gamma_hat = one_hot(torch.tensor([0] * 2 + [1] * 3 + [2] * 5), 3)
    assert label_leak(gamma, gamma_hat) == pytest.approx((0.5 + 0.3 + 0.5) / 2)
    for bad in (gamma[:-1], gamma[:, :2], gamma[:0]):
        with pytest.raises(ValueError, match="of as many real samples as fakes"):
            label_leak(bad, gamma_hat if len(bad) else bad)


def test_on_demand():
    torch.manual_seed(0)
    G = Generator([P + C, 4, M])
    h = on_demand(G, [2, 0, 2], C, seed=3)
    assert h.shape == (3, M) and not h.requires_grad
    u = torch.randn(3, P, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.equal(h, G(with_label(u, one_hot([2, 0, 2], C))))
    with pytest.raises(ValueError, match="3 classes are counted from 0"):
        on_demand(G, [3], C)


def test_variety():
    """On a line: spacing 1 in class 0, 3 in class 1; copies; samples twice as far apart."""
    h = torch.tensor([0.0, 1, 2, 3, 0, 3, 6, 9])[:, None]
    labels = torch.tensor([0] * 4 + [1] * 4)
    assert variety(h, labels, h, labels) == 1
    assert variety(0 * h, labels, h, labels) == 0
    assert variety(torch.cat([2 * h[:4], h[4:]]), labels, h, labels) == pytest.approx(1.5)
    for made, asked in ((h[:5], labels[:5]), (torch.cat([h[:4], h[:1]]), torch.zeros(5))):
        with pytest.raises(ValueError, match="expected at least 2, and as many real ones"):
            variety(made, asked, h, labels)


# C + 1 outputs


def test_losses_of_class_outputs(batch):
    _, labels = batch
    z = torch.randn(B, C + 1)
    gamma_hat = torch.softmax(z, dim=1)
    assert torch.allclose(minus_log_real(z), -torch.log(1 - gamma_hat[:, C]))
    assert torch.allclose(minus_log_fake(z), -torch.log(gamma_hat[:, C]))
    assert torch.allclose(minus_log_class(z, labels), -torch.log(gamma_hat[range(B), labels]))
    assert torch.allclose(torch.sigmoid(logit(z)), 1 - gamma_hat[:, C])
    among = -torch.log(torch.softmax(z[:, :C], dim=1)[range(B), labels])
    assert torch.allclose(minus_log_class(z, labels), minus_log_real(z) + among)
    sure = torch.tensor([[900.0, 0, 0, -900], [-900, 0, -900, 900]])
    assert minus_log_real(sure).tolist() == [0, 900] and minus_log_fake(sure).tolist() == [1800, 0]


@pytest.mark.parametrize(("kind", "loss"), [("gen_any", minus_log_real), ("fake", minus_log_fake)])
def test_losses_of_class_outputs_have_the_slopes_by_hand(kind, loss):
    z = torch.randn(B, C + 1, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(z).sum(), z)
    ours = by_hand.class_sensitivity(torch.softmax(z, dim=1).detach().numpy(), kind)
    assert np.abs(slope.numpy() - ours).max() < 1e-10


def test_class_discriminator(batch):
    h, _ = batch
    D = ClassDiscriminator([M, 6, C + 1])
    gamma_hat = torch.softmax(D(h), dim=1)
    assert torch.allclose(D.answer(h), 1 - gamma_hat[:, C])
    assert torch.allclose(D.classify(h), gamma_hat[:, :C] / (1 - gamma_hat[:, C:]))
    with pytest.raises(ValueError, match="expected C \\+ 1 outputs"):
        ClassDiscriminator([M, 1])
    with pytest.raises(ValueError, match="expected rows of 5 numbers"):
        D(h[:, :-1])


# The loops


def networks(sizes_g: list[int], sizes_d: list[int]) -> tuple[Network, Network]:
    rng = np.random.default_rng(4)
    players = draw(sizes_g, [TANH, SIGMOID], rng), draw(sizes_d, [TANH, TANH, LINEAR], rng)
    return tuple(Network(p.W, [rng.normal(size=len(t)) for t in p.theta], p.f) for p in players)


def difference(network: Network, module: nn.Module) -> float:
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    pairs = [(W, layer.weight.detach().numpy().T) for W, layer in zip(network.W, linear, strict=True)]
    pairs += [(t, -layer.bias.detach().numpy()) for t, layer in zip(network.theta, linear, strict=True)]
    return max(np.abs(a - b).max() for a, b in pairs)


@pytest.fixture
def plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loops take steps against the gradient, as the listings do, instead of Adam's."""
    monkeypatch.setattr("gennet.training.cgan.adam", torch.optim.SGD)


def latents(dice: torch.Generator) -> np.ndarray:
    return torch.randn(B, P, generator=dice, dtype=torch.float64).numpy()


def test_steps_of_the_loop_are_those_of_the_listings(batch, plain_steps):
    X, labels = batch
    gamma = one_hot(labels, C)
    g, d = networks([P + C, 6, M], [M + C, 7, 4, 2])
    G, D = (
        Generator([P + C, 6, M], hidden="tanh", output="sigmoid"),
        Discriminator([M + C, 7, 4, 2], hidden="tanh"),
    )
    copy_weights(g, G), copy_weights(d, D)
    train_cgan(G, D, X, gamma, latent=P, epochs=2, lr=0.2, batch=B, rho=0.03, seed=7)
    dice = torch.Generator().manual_seed(7)
    for _ in range(2):
        order = torch.randperm(B, generator=dice)
        h, label = X[order].numpy(), gamma[order].numpy()
        h_hat = by_hand.forward_cgan(g, d, latents(dice), label).g.y[-1]
        d = by_hand.discriminator_step(d, h, h_hat, label, 0.2, 0.03)
        g = by_hand.generator_step(g, d, latents(dice), label, 0.2, 0.03)
    assert max(difference(g, G), difference(d, D)) < 1e-10


@pytest.mark.parametrize("ask", [True, False])
def test_steps_with_class_outputs_are_those_by_hand(batch, plain_steps, ask):
    X, labels = batch
    first = P + C if ask else P
    g, d = networks([first, 6, M], [M, 7, 4, C + 1])
    G, D = (
        Generator([first, 6, M], hidden="tanh", output="sigmoid"),
        ClassDiscriminator([M, 7, 4, C + 1], hidden="tanh"),
    )
    copy_weights(g, G), copy_weights(d, D)
    train_class_gan(G, D, X, labels, latent=P, epochs=2, ask=ask, lr=0.2, batch=B, rho=0.03, seed=7)
    dice = torch.Generator().manual_seed(7)
    for _ in range(2):
        order = torch.randperm(B, generator=dice)
        h, c = X[order].numpy(), labels[order].numpy()
        u = np.hstack([latents(dice), np.eye(C)[c] if ask else np.zeros((B, 0))])
        h_hat = by_hand.forward_cgan(g, networks([first, 6, M], [M, 7, 4, 2])[1], u, np.zeros((B, 0))).g.y[-1]
        d = by_hand.class_discriminator_step(d, h, c, h_hat, 0.2, 0.03)
        g = by_hand.class_generator_step(g, d, latents(dice), c if ask else None, 0.2, 0.03)
    assert max(difference(g, G), difference(d, D)) < 1e-10


def test_without_labels_the_loop_is_that_of_before(batch):
    X, _ = batch
    trained = []
    for loop, more in ((train_cgan, [torch.zeros(B, 0)]), (train_gan, [])):
        torch.manual_seed(0)
        players = Generator([P, 6, M]), Discriminator([M, 6, 2])
        loop(*players, X, *more, latent=P, epochs=3, batch=4, noise=0.1, lr=1e-2)
        trained.append(state(*players))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*trained, strict=True))


def test_the_class_asked_for_comes():
    """Three Gaussians in the plane: where each class lands, for both designs."""
    h, labels = drawn(1500, 0)
    centres = torch.tensor(ring(3).centres)
    for design in ("label at the input", "C + 1 outputs"):
        torch.manual_seed(1)
        G = Generator([2 + 3, 24, 24, 2], hidden="tanh")
        if design == "C + 1 outputs":
            D = ClassDiscriminator([2, 24, 24, 4], hidden="tanh")
            train_class_gan(G, D, h, labels, latent=2, epochs=30, batch=100, lr=3e-3)
        else:
            D = Discriminator([2 + 3, 24, 24, 2], hidden="tanh")
            train_cgan(G, D, h, one_hot(labels, 3), latent=2, epochs=30, batch=100, lr=3e-3)
        asked = torch.arange(3).repeat(200)
        came = torch.cdist(on_demand(G, asked, 3), centres).argmin(dim=1)
        assert (came == asked).double().mean() > 0.9, design


def test_few_labels_use_the_others(batch):
    """Samples without a class change the discriminator; those with one are drawn in every step."""
    h, labels = drawn(300, 2)
    known = torch.where(torch.arange(300) < 30, labels, -1)
    trained = []
    for X in (h, torch.cat([h[:30], h[30:] + 1])):
        torch.manual_seed(0)
        G, D = Generator([2, 8, 2], hidden="tanh"), ClassDiscriminator([2, 8, 4], hidden="tanh")
        train_class_gan(G, D, X, known, latent=2, epochs=20, ask=False, batch=50, lr=1e-2)
        trained.append(state(D))
        assert (D.classify(h[:30]).argmax(dim=1) == labels[:30]).double().mean() > 0.8
    assert not same(*trained)


@pytest.mark.parametrize("loop", ["train_cgan", "train_class_gan"])
def test_training_goes_on_to_the_identical_result(tmp_path: Path, batch, loop):
    X, labels = batch

    def train(epochs: int, file: Path | None) -> list[Tensor]:
        torch.manual_seed(0)
        G = Generator([P + C, 6, M])
        D = Discriminator([M + C, 6, 2]) if loop == "train_cgan" else ClassDiscriminator([M, 6, C + 1])
        options = {"latent": P, "epochs": epochs, "batch": 3, "noise": 0.1, "checkpoint": file}
        if loop == "train_cgan":
            train_cgan(G, D, X, one_hot(labels, C), **options)
        else:
            train_class_gan(G, D, X, labels, **options)
        return state(G, D)

    train(2, tmp_path / "state")
    assert same(train(4, tmp_path / "state"), train(4, None))


def test_bad_input_of_the_loops_is_refused(batch):
    X, labels = batch
    G, D, Q = Generator([P + C, M]), Discriminator([M + C, 2]), ClassDiscriminator([M, C + 1])
    options = {"latent": P, "epochs": 1}
    with pytest.raises(ValueError, match="write classes as vectors"):
        train_cgan(G, D, X, labels, **options)
    with pytest.raises(ValueError, match="expected rows of 5 numbers, got shape"):
        train_cgan(G, D, X, torch.cat([one_hot(labels, C)] * 2, dim=1), latent=P - 1, epochs=1)
    with pytest.raises(ValueError, match="NaN or infinite"):
        train_cgan(G, D, X * float("nan"), one_hot(labels, C), **options)
    some = torch.where(torch.arange(B) < 2, labels, -1)
    for bad, ask in (
        (labels[:-1], True),
        (some, True),
        (torch.full((B,), -1), False),
        (labels[:, None], True),
    ):
        with pytest.raises(ValueError, match="Give each sample a class or -1"):
            train_class_gan(G, Q, X, bad, ask=ask, **options)
    for bad in (labels + 5, torch.where(labels == 2, -2, labels)):
        with pytest.raises(ValueError, match="classes are counted from 0"):
            train_class_gan(G, Q, X, bad, ask=False, **options)
    with pytest.raises(FloatingPointError, match="train_class_gan: the discriminator is"):
        for part in Q.parameters():
            nn.init.constant_(part, float("inf"))
        train_class_gan(G, Q, X, labels, **options)
