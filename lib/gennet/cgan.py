"""Conditional adversarial networks in PyTorch (Sayed 68.6, Problem 68.8): generators asked for a class.

That both players are given the class is due to M. Mirza and S. Osindero (2014); a discriminator with an
output for each class and one for fakes to A. Odena, and to T. Salimans and others (both 2016). The players
with labels at their inputs are plain `gennet.gan` networks with a few inputs more. By hand all this is in
`gennet.backprop.cgan`, the loops are in `gennet.training.cgan`. Left out: convolutions, and classifiers
beside the discriminator.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from gennet.cvae import one_hot
from gennet.gan.networks import _layers, _rows

UNKNOWN = -1  # the label of a sample whose class nobody has told, as in scikit-learn


def label_as_printed(labels: Tensor, C: int, *, fake: bool = False) -> Tensor:
    """Return the text's label with C + 1 entries: e_c for real samples (68.162), e_{C+1} for fakes (68.163).

    Fed to the discriminator it gives the answer away (erratum S28); `one_hot` of C entries does not.

    Examples
    --------
    >>> label_as_printed(torch.tensor([1]), 5).int().tolist()
    [[0, 1, 0, 0, 0, 0]]
    >>> label_as_printed(torch.tensor([1]), 5, fake=True).int().tolist()
    [[0, 0, 0, 0, 0, 1]]
    """
    one_hot(labels, C)  # refuses what is no class
    return one_hot(torch.full_like(labels, C) if fake else labels, C + 1)


def with_label(x: Tensor, gamma: Tensor) -> Tensor:
    """Return col{x, γ} in every row: what a player with a label reads.

    From latent vectors it is u' of P + C numbers (68.164), from samples h' of M + C (68.165). With the label
    as printed both are longer by one.

    Raises
    ------
    ValueError
        If there is not one label vector for each row.
    """
    if x.ndim != 2 or gamma.ndim != 2 or len(x) != len(gamma):
        raise ValueError(
            f"with_label: rows of shape {tuple(x.shape)} and labels of shape {tuple(gamma.shape)}; expected "
            "(B, n) and (B, C). Flatten images, and write classes as vectors with one_hot."
        )
    return torch.cat([x, gamma.to(x)], dim=1)


def label_leak(gamma: Tensor, gamma_hat: Tensor) -> float:
    """Return how often real and fake are told apart by one who sees the labels alone, at best.

    Such a classifier answers for each label vector with the kind that has it more often. ½ if both kinds have
    the same labels equally often, as they should; 1 with the label as printed (erratum S28).

    Parameters
    ----------
    gamma, gamma_hat
        Labels as the discriminator is given them, of as many real samples as fakes, ``(n, C)`` each.

    Examples
    --------
    >>> labels = torch.tensor([0, 1])
    >>> label_leak(label_as_printed(labels, 2), label_as_printed(labels, 2, fake=True))
    1.0
    """
    if gamma.shape != gamma_hat.shape or gamma.ndim != 2 or not len(gamma):
        raise ValueError(
            f"label_leak: labels of shape {tuple(gamma.shape)} and {tuple(gamma_hat.shape)}; expected (n, C) "
            "twice, of as many real samples as fakes."
        )
    _, which = torch.unique(torch.cat([gamma, gamma_hat]), dim=0, return_inverse=True)
    real, fake = (torch.bincount(part, minlength=int(which.max()) + 1) for part in which.chunk(2))
    return torch.maximum(real, fake).sum().item() / len(which)


@torch.no_grad()
def on_demand(generator: nn.Module, labels: Sequence[int] | Tensor, C: int, *, seed: int = 0) -> Tensor:
    """Return a new sample of each class asked for, ``(n, M)``.

    Parameters
    ----------
    generator
        From col{u, γ} to samples; its number of latents is ``generator.latent`` - C.
    labels
        Classes from 0, ``(n,)``, as many samples of each as it stands there.
    C
        How many classes there are.
    seed
        Of the latent vectors, from 𝒩(0, I).
    """
    gamma = one_hot(torch.as_tensor(labels), C)
    noise = torch.Generator().manual_seed(seed)
    u = torch.randn(len(gamma), generator.latent - C, generator=noise, dtype=gamma.dtype)
    weight = next(generator.parameters())
    return generator(with_label(u, gamma).to(weight))


@torch.no_grad()
def variety(h_hat: Tensor, asked: Tensor, h: Tensor, labels: Tensor) -> float:
    """Return how much samples of one class differ from one another, compared with real ones.

    For each class the median distance from a sample to the nearest other one, divided by that of as many real
    samples, and then the mean over the classes. 1: as different as real ones; 0: copies of one another.

    Parameters
    ----------
    h_hat, asked
        Samples ``(n, M)`` and the class of each, at least 2 of a class, and no more than there are real ones.
    h, labels
        Real samples ``(N, M)`` and their classes.

    Raises
    ------
    ValueError
        If a class has fewer than 2 samples, or fewer real ones than that.
    """
    shares = []
    for c in torch.unique(asked):
        made, real = h_hat[asked == c], h[labels == c]
        if not 2 <= len(made) <= len(real):
            raise ValueError(
                f"variety: {len(made)} samples of class {int(c)}, {len(real)} real ones; expected at least "
                "2, and as many real ones. Ask for more, or for fewer."
            )
        shares.append(_spacing(made) / _spacing(real[: len(made)]))
    return torch.stack(shares).mean().item()


def _spacing(h: Tensor) -> Tensor:
    distances = torch.cdist(h, h, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.fill_diagonal_(torch.inf).min(dim=1).values.median()


class ClassDiscriminator(nn.Module):
    """A discriminator with one output for each of C classes and a last one for fakes (Problem 68.8).

    Its answer is a softmax γ̂ over all C + 1: a sample is real with probability 1 - γ̂(C+1), and if so it is of
    class c with probability γ̂(c) / (1 - γ̂(C+1)). So it is a classifier besides. It reads no label.

    Parameters
    ----------
    sizes
        Units of the layers, from the M numbers of a sample to the C + 1 outputs.
    hidden
        Activation of the layers between, as those of `gennet.gan.Discriminator`.

    Examples
    --------
    >>> D = ClassDiscriminator([3, 16, 5])
    >>> D(torch.zeros(7, 3)).shape, D.classify(torch.zeros(7, 3)).shape
    (torch.Size([7, 5]), torch.Size([7, 4]))
    """

    def __init__(self, sizes: Sequence[int], *, hidden: str = "relu") -> None:
        super().__init__()
        if sizes[-1] < 2:
            raise ValueError(f"ClassDiscriminator: expected C + 1 outputs, at least 2, got {list(sizes)}.")
        self.n_features, self.C = sizes[0], sizes[-1] - 1
        self.layers = _layers("ClassDiscriminator", sizes, hidden, "linear")

    def forward(self, h: Tensor) -> Tensor:
        """Return the outputs z before the softmax, ``(B, C + 1)``, of samples ``(B, M)``."""
        return self.layers(_rows("ClassDiscriminator", h, self.n_features))

    @torch.no_grad()
    def answer(self, h: Tensor) -> Tensor:
        """Return 1 - γ̂(C+1), how probable each sample is real, ``(B,)``."""
        return torch.sigmoid(logit(self(h)))

    @torch.no_grad()
    def classify(self, h: Tensor) -> Tensor:
        """Return how probable each class is if the sample is real, ``(B, C)``."""
        return torch.softmax(self(h)[:, :-1], dim=1)


def logit(z: Tensor) -> Tensor:
    """Return the logit of "real", ln Σ_{c≤C} exp z(c) - z(C+1), ``(B,)``, of outputs ``(B, C + 1)``."""
    return torch.logsumexp(z[:, :-1], dim=1) - z[:, -1]


def minus_log_real(z: Tensor) -> Tensor:
    """Return -ln(1 - γ̂(C+1)) of each sample: the loss of one that should be real, of whatever class."""
    return softplus(-logit(z))


def minus_log_fake(z: Tensor) -> Tensor:
    """Return -ln γ̂(C+1) of each sample: the loss of one that should be a fake."""
    return softplus(logit(z))


def minus_log_class(z: Tensor, labels: Tensor) -> Tensor:
    """Return -ln γ̂(c) of each sample: the loss of one that should be real and of class c.

    It is `minus_log_real` plus the loss of an ordinary classifier, -ln(γ̂(c) / (1 - γ̂(C+1))).
    """
    return cross_entropy(z, labels, reduction="none")
