"""The variational autoencoder in PyTorch, as a practitioner writes it (Sayed 68.1-68.2; Yao's slides).

Kingma and Welling (2014) and Rezende, Mohamed and Wierstra (2014) found it; importance-weighted bounds are
from Burda, Grosse and Salakhutdinov (2016). Training is in `gennet.training`; `gennet.backprop.vae` has the
same step by hand, and a test shows that both are the same. Left out: labels, convolutions, and priors other
than the standard normal law.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from sklearn.neighbors import KNeighborsClassifier
from torch import Generator, Tensor, nn

from gennet.autoencoder import ACTIVATIONS

RANGE = {"linear": (-math.inf, math.inf), "relu": (0, math.inf), "sigmoid": (0, 1), "tanh": (-1, 1)}


class VAE(nn.Module):
    """An encoder that gives a normal law of latents, and a decoder that gives a law of data (68.10), (68.21).

    The latents of a sample h have the law q(u | h), normal with P means μ(h) (68.11) and P independent
    variances (68.12), which the encoder gives as logarithms a(h) (68.13), (68.15). Before any data their law
    is the standard normal one (68.19).

    Build it under ``torch.set_default_dtype(torch.float64)`` where numbers must be the same on every machine,
    and after ``torch.manual_seed``: the first weights are random, as those of `gennet.backprop.draw` (Glorot
    and Bengio, 2010). With PyTorch's own, which are smaller, the latents of Example 68.1 often stay unused.

    Parameters
    ----------
    M, P
        Numbers in a sample and in its latent; P is at most M.
    hidden
        Units of the encoder's hidden layers; the decoder has the same, backwards. Without any, encoder and
        decoder are linear.
    likelihood
        ``"gaussian"``: h given u is normal about ĥ = g(u), with one variance σ² for all entries (68.21).
        ``"bernoulli"``: every entry of h is 0 or 1, and ĥ are the probabilities of 1. Greys between are taken
        as usual for shares of 0 and 1, and then the bound is not one of a density.
    activation
        Of the hidden layers: ``"linear"``, ``"relu"``, ``"sigmoid"`` or ``"tanh"``.
    output
        Of ĥ, for a Gaussian decoder only (a Bernoulli decoder has the sigmoid).
    sigma
        σ of a Gaussian decoder: 1 in (68.21).
    learn_sigma
        Whether σ is learnt like the weights, from ``sigma`` on.

    Raises
    ------
    ValueError
        If P lies outside 1 to M, if there is no such likelihood or activation, or if σ is not positive.

    Examples
    --------
    >>> model = VAE(784, 2, (512, 512), output="tanh")  # of Example 68.1, (68.80)
    >>> [layer.weight.numel() + layer.bias.numel() for layer in model.encoder if hasattr(layer, "bias")]
    [401920, 262656, 2052]
    >>> model.sample(5).shape
    torch.Size([5, 784])
    """

    def __init__(
        self,
        M: int,
        P: int,
        hidden: Sequence[int] = (),
        *,
        likelihood: str = "gaussian",
        activation: str = "relu",
        output: str = "linear",
        sigma: float = 1.0,
        learn_sigma: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= P <= M:
            raise ValueError(
                f"VAE: expected 1 to {M} latents for samples of {M} numbers, got P = {P}. A latent is "
                "shorter than its sample, or as long."
            )
        if likelihood not in ("gaussian", "bernoulli"):
            raise ValueError(f"VAE: no likelihood {likelihood!r}; there are gaussian, bernoulli.")
        for name in (activation, output):
            if name not in ACTIVATIONS:
                raise ValueError(f"VAE: no activation {name!r}; there are {', '.join(ACTIVATIONS)}.")
        bernoulli = likelihood == "bernoulli"
        if bernoulli and (output != "linear" or sigma != 1.0 or learn_sigma):
            raise ValueError(
                "VAE: a Bernoulli decoder has neither output activation nor sigma; leave them out."
            )
        if not sigma > 0:
            raise ValueError(f"VAE: sigma must be positive, got {sigma}.")
        self.M, self.P, self.likelihood = M, P, likelihood
        self.encoder = _layers([M, *hidden, 2 * P], activation, "linear")  # linear: erratum S9
        self.decoder = _layers([P, *reversed(hidden), M], activation, output)  # Bernoulli: gives the logits
        self.log_variance = nn.Parameter(torch.tensor(2 * math.log(sigma)), requires_grad=learn_sigma)
        self.range = (0, 1) if bernoulli else RANGE[output]

    def check(self, x: Tensor) -> None:
        """Refuse samples that this model cannot have made.

        Raises
        ------
        ValueError
            If there are none, if they have another length, or hold NaN or numbers that ĥ cannot reach.
        """
        low, high = self.range
        if x.ndim != 2 or x.shape[1] != self.M or not len(x):
            raise ValueError(
                f"VAE: expected samples as rows of {self.M} numbers, at least one, got shape "
                f"{tuple(x.shape)}. Flatten images first: images.reshape(len(images), -1)."
            )
        smallest, largest = (end.item() for end in x.aminmax())
        if not math.isfinite(smallest + largest):
            raise ValueError("VAE: some numbers of the samples are NaN or infinite. Remove or fill them.")
        if not low <= smallest <= largest <= high:
            raise ValueError(
                f"VAE: samples from {smallest:.3g} to {largest:.3g}, but this decoder gives numbers in "
                f"[{low}, {high}]. Scale the samples, or choose another decoder."
            )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return means μ(h) and log-variances a(h), ``(B, P)`` each, of samples ``(B, M)`` (68.32).

        Means come first in the encoder's output, log-variances second; both linear (68.50), (68.51), so that
        a standard deviation can be smaller than 1 and larger than 1 (erratum S9).

        Raises
        ------
        ValueError
            As `check`.
        """
        self.check(x)
        mean, a = self.encoder(x).chunk(2, dim=1)  # (B, P) each
        return mean, a

    def reparameterize(self, mean: Tensor, a: Tensor, eps: Tensor) -> Tensor:
        """Return latents u = μ + exp(a / 2) ε (68.17), (68.35), entry by entry (68.52).

        With ε standard normal, u has the law N(μ, Σ) with σ² = exp(a) (68.14), (68.16), and it depends on μ
        and a in a way that can be differentiated.
        """
        return mean + torch.exp(0.5 * a) * eps

    def decode(self, u: Tensor) -> Tensor:
        """Return ĥ = g(u), ``(..., M)``, of latents ``(..., P)`` (68.18), (68.36).

        It is the mean of h given u, not a draw (erratum S6): for a Bernoulli decoder, probabilities.
        """
        output = self.decoder(u)
        return torch.sigmoid(output) if self.likelihood == "bernoulli" else output

    def log_likelihood(self, x: Tensor, u: Tensor) -> Tensor:
        """Return ln f(h | u) in nats, ``(..., B)``, of samples ``(B, M)`` and latents ``(..., B, P)``.

        Gaussian: -‖h - ĥ‖² / (2 σ²) - M/2 ln(2π σ²): equal, not proportional, to the square (68.22), erratum
        S2. Bernoulli: the sum of h ln ĥ + (1 - h) ln(1 - ĥ), computed from the logits.
        """
        output = self.decoder(u)  # (..., B, M)
        if self.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(output, x.expand_as(output), reduction="none").sum(
                dim=-1
            )
        square = ((output - x) ** 2).sum(dim=-1)
        constant = self.M / 2 * (math.log(2 * math.pi) + self.log_variance)
        return -0.5 * square * torch.exp(-self.log_variance) - constant

    def elbo(
        self,
        x: Tensor,
        *,
        k: int = 1,
        kappa: float = 1.0,
        eps: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return the evidence lower bound of each sample, ``(B,)``, in nats.

        It is the mean of ln f(h | u) over k draws of u from q(u | h), minus κ D_KL(q(u | h) ‖ f(u)), which is
        exact (68.20). Averaged over data and with κ = 1 it is what training maximises (68.23)-(68.25), YA10;
        the text's (68.24) is twice that, plus a constant (erratum S3). With κ < 1 it is no bound (S33).

        Parameters
        ----------
        x
            Samples ``(B, M)``.
        k
            Draws for each sample.
        kappa
            Weight of the divergence, at least 0.
        eps
            The standard normal draws, ``(k, B, P)``, if they are given; then k is theirs.
        generator
            From which they are drawn otherwise; PyTorch's own if it is not given.

        Raises
        ------
        ValueError
            If kappa is negative, k below 1, or eps of another shape; and as `check`.
        """
        if not kappa >= 0:
            raise ValueError(f"VAE.elbo: kappa must be at least 0, got {kappa}. 1 is the bound itself.")
        mean, a = self.encode(x)
        u = self.reparameterize(mean, a, self._noise(mean, k, eps, generator))  # (k, B, P)
        return self.log_likelihood(x, u).mean(dim=0) - kappa * divergence(mean, a)

    def importance_bound(
        self, x: Tensor, k: int, *, eps: Tensor | None = None, generator: Generator | None = None
    ) -> Tensor:
        """Return ln of the mean over k draws of f(h | u) f(u) / q(u | h) for each sample, ``(B,)``, in nats.

        With one draw its mean is that of `elbo`; with more draws it rises, on average, towards ln f(h)
        (Burda, Grosse and Salakhutdinov, 2016). The k B M numbers of all draws are in memory at once.

        Raises
        ------
        ValueError
            As `elbo`.
        """
        mean, a = self.encode(x)
        eps = self._noise(mean, k, eps, generator)  # (k, B, P)
        u = self.reparameterize(mean, a, eps)
        prior_over_q = 0.5 * (eps**2 + a - u**2).sum(dim=-1)  # ln f(u) - ln q(u | h)
        return torch.logsumexp(self.log_likelihood(x, u) + prior_over_q, dim=0) - math.log(len(eps))

    @torch.no_grad()
    def sample(self, n: int, *, draw: bool = False, generator: Generator | None = None) -> Tensor:
        """Return n new samples, ``(n, M)``: latents from the prior (68.19) go through the decoder.

        Without ``draw`` they are the means ĥ; with it, draws from f(h | u): ĥ plus noise of deviation σ, or
        zeros and ones.

        Raises
        ------
        ValueError
            If n is below 1.
        """
        if n < 1:
            raise ValueError(f"VAE.sample: expected at least one sample, got n = {n}.")
        u = torch.randn(n, self.P, generator=generator, dtype=self.log_variance.dtype)
        mean = self.decode(u.to(self.log_variance.device))
        if not draw:
            return mean
        if self.likelihood == "bernoulli":
            return (torch.rand(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device) < mean).to(
                mean.dtype
            )
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
        return mean + torch.exp(0.5 * self.log_variance) * noise

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Return ĥ, ``(B, M)``, decoded from the mean of each sample's latents."""
        return self.decode(self.encode(x)[0])

    def _noise(self, mean: Tensor, k: int, eps: Tensor | None, generator: Generator | None) -> Tensor:
        """Return standard normal draws ``(k, B, P)``, drawn on the CPU: the same on every device."""
        if k < 1:
            raise ValueError(f"VAE: expected at least one draw for each sample, got k = {k}.")
        if eps is None:
            return torch.randn(k, *mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
        if eps.shape[1:] != mean.shape or not len(eps):
            raise ValueError(
                f"VAE: expected eps of shape (k, {mean.shape[0]}, {mean.shape[1]}), got {tuple(eps.shape)}."
            )
        return eps


def _layers(sizes: Sequence[int], activation: str, last: str) -> nn.Sequential:
    layers = []
    for n, m in pairwise(sizes):
        linear = nn.Linear(n, m)
        nn.init.xavier_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, ACTIVATIONS[activation]()]
    layers[-1] = ACTIVATIONS[last]()
    return nn.Sequential(*layers)


def J(mean: Tensor, a: Tensor) -> Tensor:
    """Return J(μ, a) = ‖μ‖² + 1ᵀ exp(a) - 1ᵀ a of each sample, ``(B,)`` (68.59).

    exp(a) is taken entry by entry (68.38). J is at least P, and P only where q(u | h) is the prior.

    Examples
    --------
    >>> J(torch.tensor([[0.0, 0.0], [1.0, -2.0]]), torch.zeros(2, 2))
    tensor([2., 7.])
    """
    return (mean**2 + torch.exp(a) - a).sum(dim=-1)


def divergence(mean: Tensor, a: Tensor) -> Tensor:
    """Return D_KL(q(u | h) ‖ f(u)) = (J - P) / 2 of each sample, ``(B,)``, in nats (68.20)."""
    return 0.5 * (J(mean, a) - mean.shape[-1])


def risk(model: VAE, x: Tensor, eps: Tensor, rho: float = 0.0) -> Tensor:
    """Return the text's empirical risk of a batch (68.37), (68.39), for a Gaussian decoder with σ = 1.

    It is ρ Σ ‖W‖² over all weights, plus the mean over samples of ‖h - ĥ‖² + J(μ, a), with one draw ε each,
    ``(B, P)``. The last two are -2 times the mean bound, minus M ln 2π, plus P (erratum S3).
    """
    mean, a = model.encode(x)
    h_hat = model.decode(model.reparameterize(mean, a, eps))  # (B, M)
    energy = sum((W**2).sum() for W in weights(model))
    return rho * energy + (((x - h_hat) ** 2).sum(dim=1) + J(mean, a)).mean()


def weights(model: nn.Module) -> list[nn.Parameter]:
    """Return the weight matrices of all layers: what ρ restrains; offsets are free."""
    return [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]


@torch.no_grad()
def sheet(model: VAE, side: int) -> Tensor:
    """Decode a square grid of latents of two numbers: what the decoder has laid out in its plane.

    The grid has as many quantiles of the standard normal law along each axis, so that every cell of the plane
    has the same probability under the prior (Kingma and Welling, 2014).

    Returns
    -------
    Tensor of shape (side², M)
        Row by row from the top: the first number grows to the right, the second upwards.

    Raises
    ------
    ValueError
        If the latents have not two numbers.
    """
    if model.P != 2:
        raise ValueError(f"sheet: expected latents of 2 numbers, got P = {model.P}: there is no plane.")
    dtype, device = model.log_variance.dtype, model.log_variance.device
    quantiles = torch.special.ndtri((torch.arange(side, dtype=torch.float64) + 0.5) / side)
    second, first = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    u = torch.stack([first.flatten(), second.flatten()], dim=1)  # (side², 2)
    return model.decode(u.to(device, dtype))


def neighbour_score(codes: ArrayLike, labels: ArrayLike, new: ArrayLike, new_labels: ArrayLike) -> float:
    """Return the share of new codes to which the 10 nearest known codes give the right label, by vote.

    Parameters
    ----------
    codes, new
        Known and new codes, ``(M, D)`` and ``(M', D)``.
    labels, new_labels
        Their labels: whole numbers, ``(M,)`` and ``(M',)``. They are used here only, not in any training.

    Raises
    ------
    ValueError
        If the labels are not whole numbers, one for each code.
    """
    codes, new = np.asarray(codes), np.asarray(new)
    labels, new_labels = np.asarray(labels), np.asarray(new_labels)
    for rows, names in ((codes, labels), (new, new_labels)):
        if names.shape != rows.shape[:1] or not np.issubdtype(names.dtype, np.integer):
            raise ValueError(
                f"neighbour_score: expected {len(rows)} labels, whole numbers, for {len(rows)} codes; got "
                f"shape {names.shape} of {names.dtype}."
            )
    return float(KNeighborsClassifier(n_neighbors=10).fit(codes, labels).score(new, new_labels))
