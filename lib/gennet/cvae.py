"""Variational autoencoders that know a label, in PyTorch (Sayed 68.3, Example 68.3, Problems 68.2 and 68.5).

The conditional autoencoder is due to Sohn, Lee and Yan (2015), and to Kingma, Rezende, Mohamed and Welling
(2014), whose second model has a network for the label beside the encoder, as in Problem 68.5. By hand both
are in `gennet.backprop.cvae`. Left out: a prior of the latents that depends on the label (erratum S15).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Generator, Tensor, nn

from gennet.autoencoder import ACTIVATIONS
from gennet.bound import Terms, table_terms
from gennet.vae import VAE, J, weights


def conditional_terms(joint: ArrayLike, h: int, c: int, q: ArrayLike) -> Terms:
    """Return the terms of (68.82) on a finite table: ln f(h | c) = gap + reconstruction - divergence.

    Given the class c, the slice f(h, u, c) / f(c) is a joint law of h and u like any other, and (68.81) holds
    in it. So every law is conditioned, that of the latents too: the divergence is from f(u | c), which is not
    f(u) (erratum S15).

    Parameters
    ----------
    joint
        The table f(h, u, c), ``(H, U, C)``: masses that sum to 1.
    h, c
        What was observed, and its class, from 0.
    q
        Any law of u: masses ``(..., U)``.

    Raises
    ------
    ValueError
        If the table is no joint law, if it has no class c, or one that never occurs; and as `table_terms`.

    Examples
    --------
    >>> joint = torch.tensor([[[1.0, 3.0], [1.0, 2.0]], [[1.0, 0.0], [5.0, 3.0]]]) / 16
    >>> terms = conditional_terms(joint, 0, 1, [0.5, 0.5])
    >>> print(terms.evidence.round(6), (terms.gap + terms.bound).round(6))  # ln(5 / 8)
    -0.470004 -0.470004
    """
    joint = torch.as_tensor(joint, dtype=torch.float64).numpy()
    if joint.ndim != 3 or not joint.size or not (joint >= 0).all() or abs(joint.sum() - 1) > 1e-6:
        raise ValueError(
            "conditional_terms: expected a joint table of shape (H, U, C), masses that are not negative and "
            f"sum to 1; got shape {joint.shape} and a sum of {joint.sum():.6g}."
        )
    if not 0 <= c < joint.shape[2] or not joint[:, :, c].any():
        raise ValueError(
            f"conditional_terms: class {c} never occurs; the table has {joint.shape[2]} classes, from 0."
        )
    return table_terms(joint[:, :, c] / joint[:, :, c].sum(), h, q)


def one_hot(labels: Tensor | Sequence[int], C: int) -> Tensor:
    """Return γ, ``(B, C)``: 1 at the place of each sample's class, 0 elsewhere (68.84).

    Classes are counted from 0, as digits are: the third of five classes, c = 3 in the text, is label 2 here.

    Raises
    ------
    ValueError
        If the labels are no whole numbers from 0 to C - 1.

    Examples
    --------
    >>> one_hot([2], 5)
    tensor([[0., 0., 1., 0., 0.]])
    """
    labels = torch.as_tensor(labels)
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(
            f"one_hot: expected one whole number a sample, got shape {tuple(labels.shape)} of {labels.dtype}."
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < C:
        raise ValueError(
            f"one_hot: labels from {labels.min()} to {labels.max()}, but {C} classes are counted from 0 to "
            f"{C - 1}. Classes counted from 1 need labels - 1."
        )
    return F.one_hot(labels.long(), C).to(torch.get_default_dtype())


def col(x: Tensor, gamma: Tensor) -> Tensor:
    """Return col{x, γ}: h' of (68.85) from samples, u' of (68.86) from latents; the label comes last.

    Leading axes of ``x`` that γ lacks, such as that of several draws, are filled with copies of γ.
    """
    return torch.cat([x, gamma.to(x).expand(*x.shape[:-1], gamma.shape[-1])], dim=-1)


class _LabelledDecoder(VAE):
    """A variational autoencoder whose decoder has a label besides the latents: u' of size P + C (68.86)."""

    def __init__(self, M: int, P: int, C: int, hidden: Sequence[int] = (), **options) -> None:
        if C < 1:
            raise ValueError(f"{type(self).__name__}: expected at least one class, got C = {C}.")
        super().__init__(M, P, hidden, **options)
        self.C = C
        _widen(self.decoder, C)

    def decode(self, u: Tensor, labels: Tensor) -> Tensor:
        """Return ĥ = g(col{u, γ}), ``(..., B, M)``, of latents ``(..., B, P)`` and a label for each of B.

        Labels are whole numbers ``(B,)``, or vectors γ ``(B, C)`` that are not negative and sum to 1.

        Raises
        ------
        ValueError
            If the labels are no such thing.
        """
        return super().decode(col(u, self._gamma(labels)))

    @torch.no_grad()
    def sample(self, labels: Tensor, *, generator: Generator | None = None) -> Tensor:
        """Return a new sample of each class asked for, ``(B, M)``: means ĥ of latents from N(0, I).

        The encoder is not used: latents and label enter the decoder (erratum S16). That N(0, I) is the law of
        the latents for every class is what training has assumed (erratum S15).

        Raises
        ------
        ValueError
            If there is no label, and as `decode`.
        """
        gamma = self._gamma(labels)
        u = torch.randn(len(gamma), self.P, generator=generator, dtype=self.log_variance.dtype)
        return self.decode(u.to(self.log_variance.device), gamma)

    def _gamma(self, labels: Tensor) -> Tensor:
        """Return labels as vectors ``(B, C)``."""
        labels = torch.as_tensor(labels)
        gamma = one_hot(labels, self.C) if labels.ndim == 1 else labels
        if gamma.ndim != 2 or gamma.shape[1] != self.C or not len(gamma):
            raise ValueError(
                f"{type(self).__name__}: expected labels (B,) or vectors (B, {self.C}), at least one, got "
                f"shape {tuple(labels.shape)}."
            )
        if not ((gamma >= 0).all() and (gamma.sum(dim=1) - 1).abs().max() < 1e-4):
            raise ValueError(
                f"{type(self).__name__}: expected label vectors that are not negative and sum to 1; these "
                f"have entries from {gamma.min():.3g} and sums up to {gamma.sum(dim=1).max():.3g}."
            )
        return gamma.to(self.log_variance)


class ConditionalVAE(_LabelledDecoder):
    """A variational autoencoder of h given a label γ, which encoder and decoder both receive (68.82).

    Its samples are rows h' = col{h, γ} of M + C numbers (68.85), which `extend` makes; with them everything
    that is said of `VAE` holds again: q(u | h, γ) has moments that depend on both (68.83), draws are made as
    before (68.87), the bound is that of ln f(h | γ), and `gennet.training.train_vae` trains it.

    Parameters
    ----------
    M, P, C
        Numbers in h and in its latent, number of classes.
    hidden, **options
        As those of `VAE`.

    Raises
    ------
    ValueError
        If P lies outside 1 to M or C is below 1, and as `VAE`.

    Examples
    --------
    >>> model = ConditionalVAE(784, 2, 10, (512, 512), output="tanh")  # of Example 68.3
    >>> h_prime = model.extend(torch.zeros(5, 784), torch.tensor([3, 1, 4, 1, 5]))
    >>> h_prime.shape, model.encode(h_prime)[0].shape, model.sample(torch.full((12,), 3)).shape
    (torch.Size([5, 794]), torch.Size([5, 2]), torch.Size([12, 784]))
    """

    def __init__(self, M: int, P: int, C: int, hidden: Sequence[int] = (), **options) -> None:
        super().__init__(M, P, C, hidden, **options)
        _widen(self.encoder, C)

    def extend(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return h' = col{h, γ}, ``(B, M + C)``, of samples and their labels (68.85).

        Raises
        ------
        ValueError
            If there are not as many labels as samples; as `check`, and as `decode`.
        """
        gamma = self._gamma(labels)
        if len(x) != len(gamma):
            raise ValueError(f"ConditionalVAE: {len(x)} samples and {len(gamma)} labels.")
        super().check(x)
        return col(x, gamma)

    def check(self, x: Tensor) -> None:
        """Refuse rows that are not col{h, γ}, with an h that this decoder reaches and a label γ.

        Raises
        ------
        ValueError
            If they are not.
        """
        if x.ndim != 2 or x.shape[1] != self.M + self.C:
            raise ValueError(
                f"ConditionalVAE: expected rows col{{h, γ}} of {self.M} + {self.C} numbers, got shape "
                f"{tuple(x.shape)}. Join samples and labels by `extend`."
            )
        super().check(x[:, : self.M])
        self._gamma(x[:, self.M :])

    def log_likelihood(self, x: Tensor, u: Tensor) -> Tensor:
        """Return ln f(h | u, γ) in nats, ``(..., B)``, of rows h' ``(B, M + C)``; see `VAE`."""
        h, gamma = x.split([self.M, self.C], dim=1)
        return super().log_likelihood(h, col(u, gamma))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Return ĥ, ``(B, M)``, decoded from the mean of each sample's latents with its own label."""
        return self.redraw(x, x[:, self.M :])

    @torch.no_grad()
    def redraw(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the samples with other labels, ``(B, M)``: the latents are kept, γ is changed.

        What a label does not say of a sample, its style, is in the latents.

        Raises
        ------
        ValueError
            As `check` and `decode`.
        """
        return self.decode(self.encode(x)[0], labels)

    @torch.no_grad()
    def classify(self, x: Tensor, *, k: int = 10, generator: Generator | None = None) -> Tensor:
        """Return for each sample ``(B, M)`` the class whose bound of ln f(h | γ) is largest, ``(B,)``.

        With classes equally likely beforehand and bounds equally close this is Bayes' rule. A bound is the
        mean over k draws.

        Raises
        ------
        ValueError
            As `elbo`.
        """
        rows = [self.extend(x, torch.full((len(x),), c)) for c in range(self.C)]
        return torch.stack([self.elbo(row, k=k, generator=generator) for row in rows]).argmax(dim=0)


class LabelInferringVAE(_LabelledDecoder):
    """A variational autoencoder that infers the label instead of being told (Problem 68.5).

    A second network beside the encoder reads h and gives probabilities γ̂ of the classes; the decoder receives
    col{u, γ̂}, and no label is needed to encode. What ties γ̂ to the classes is the cross entropy, which
    `gennet.training.train_label_vae` adds with the weight η. Without it γ̂ is only C - 1 more numbers of the
    code, on which the bound puts no price: hence `elbo` here is not a bound of ln f(h), nor of ln f(h | γ).

    Parameters
    ----------
    M, P, C
        Numbers in h and in its latent, number of classes.
    hidden, activation, **options
        As those of `VAE`; the label network has the hidden layers of the encoder.

    Raises
    ------
    ValueError
        If P lies outside 1 to M or C is below 1, and as `VAE`.

    Examples
    --------
    >>> model = LabelInferringVAE(64, 2, 10, (32,))
    >>> x = torch.zeros(5, 64)
    >>> model.encode(x)[0].shape, model.infer(x).shape
    (torch.Size([5, 2]), torch.Size([5, 10]))
    """

    def __init__(
        self, M: int, P: int, C: int, hidden: Sequence[int] = (), *, activation: str = "relu", **options
    ) -> None:
        super().__init__(M, P, C, hidden, activation=activation, **options)
        self.label_network = _network([M, *hidden, C], activation)

    def infer(self, x: Tensor) -> Tensor:
        """Return the probabilities γ̂(h) of the classes, ``(B, C)``, of samples ``(B, M)``.

        Raises
        ------
        ValueError
            As `check`.
        """
        self.check(x)
        return torch.softmax(self.label_network(x), dim=1)

    def log_likelihood(self, x: Tensor, u: Tensor) -> Tensor:
        """Return ln f(h | u, γ̂(h)) in nats, ``(..., B)``; see `VAE`."""
        return super().log_likelihood(x, col(u, self.infer(x)))

    def cross_entropy(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return -Σ γ(c) ln γ̂(c) of each sample, ``(B,)``, in nats.

        Raises
        ------
        ValueError
            As `check` and `decode`.
        """
        self.check(x)
        return -(self._gamma(labels) * torch.log_softmax(self.label_network(x), dim=1)).sum(dim=1)

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Return ĥ, ``(B, M)``, decoded from the mean of each sample's latents and its inferred label."""
        return self.decode(self.encode(x)[0], self.infer(x))


def risk(model: ConditionalVAE, x: Tensor, eps: Tensor, rho: float = 0.0) -> Tensor:
    """Return the empirical risk of a batch of rows h' (68.88), for a Gaussian decoder with σ = 1.

    Its last term is twice the divergence of q(u | h, γ) from N(0, I), plus P: the text takes that law for
    f(u | γ) in (68.82), for every class, without saying so (erratum S15).

    Parameters
    ----------
    x, eps
        Rows ``(B, M + C)``, and a draw each, ``(B, P)``.
    rho
        Weight of the energy of all weight matrices.
    """
    mean, a = model.encode(x)
    h, gamma = x.split([model.M, model.C], dim=1)
    h_hat = model.decode(model.reparameterize(mean, a, eps), gamma)
    return rho * _energy(model) + (((h - h_hat) ** 2).sum(dim=1) + J(mean, a)).mean()


def label_risk(
    model: LabelInferringVAE, x: Tensor, labels: Tensor, eps: Tensor, eta: float, rho: float = 0.0
) -> Tensor:
    """Return the empirical risk of Problem 68.5: reconstruction + J + η cross entropy, and ρ Σ ‖W‖².

    Parameters
    ----------
    x, labels, eps
        Samples ``(B, M)``, their labels, and a draw each, ``(B, P)``.
    eta, rho
        Weights of the cross entropy, and of the energy of all weight matrices of the three networks.
    """
    mean, a = model.encode(x)
    h_hat = model.decode(model.reparameterize(mean, a, eps), model.infer(x))
    square = ((x - h_hat) ** 2).sum(dim=1)
    return rho * _energy(model) + (square + J(mean, a) + eta * model.cross_entropy(x, labels)).mean()


def _energy(model: nn.Module) -> Tensor:
    return sum((W**2).sum() for W in weights(model))


def _widen(network: nn.Sequential, C: int) -> None:
    """Give a network C more inputs, after those that it has: its first weights are drawn anew (68.93)."""
    network[0] = _linear(network[0].in_features + C, network[0].out_features)


def _network(sizes: Sequence[int], activation: str) -> nn.Sequential:
    layers = []
    for n, m in pairwise(sizes):
        layers += [_linear(n, m), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def _linear(n: int, m: int) -> nn.Linear:
    """Return a layer with the first weights of `VAE` (Glorot and Bengio, 2010)."""
    linear = nn.Linear(n, m)
    nn.init.xavier_normal_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
