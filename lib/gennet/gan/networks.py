"""Generators and discriminators as PyTorch modules: plain layers, as in Example 68.6 of Sayed's chapter.

`gennet.training.gan` takes any module in their place: a generator maps latent vectors ``(B, P)`` to samples,
a discriminator maps samples to one number each, ``(B,)``: the logit of D, so that no loss has to take the
logarithm of a rounded probability. Left out: convolutions.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

ACTIVATIONS = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class Generator(nn.Module):
    """A map ĥ = G(u) from latent vectors to samples (68.108).

    Build it under ``torch.set_default_dtype(torch.float64)`` where numbers must be the same on every machine,
    and after ``torch.manual_seed``: the first weights are PyTorch's.

    Parameters
    ----------
    sizes
        Units of the layers, from the P latent numbers to the M numbers of a sample.
    hidden, output
        Activations: ``"linear"``, ``"relu"``, ``"leaky"``, ``"sigmoid"`` or ``"tanh"``.

    Examples
    --------
    >>> Generator([2, 16, 3])(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(self, sizes: Sequence[int], *, hidden: str = "relu", output: str = "linear") -> None:
        super().__init__()
        self.latent = sizes[0]
        self.layers = _layers("Generator", sizes, hidden, output)

    def forward(self, u: Tensor) -> Tensor:
        """Return samples ``(B, M)`` for latent vectors ``(B, P)``."""
        return self.layers(_rows("Generator", u, self.latent))

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Return n samples for latent vectors drawn from 𝒩(0, I_P), without their gradient, ``(n, M)``."""
        weight = next(self.parameters())
        u = torch.randn(n, self.latent, generator=torch.Generator().manual_seed(seed), dtype=weight.dtype)
        with torch.no_grad():
            return self(u.to(weight.device))


class Discriminator(nn.Module):
    """The logit of D(h) = γ̂(1), one number for each sample (68.97), (68.101).

    With two outputs, as in the text, the logit is their difference z(1) - z(2); with one, it is that output.

    Parameters
    ----------
    sizes
        Units of the layers, from the M numbers of a sample to 2 outputs or 1.
    hidden
        Activation of the layers between.

    Examples
    --------
    >>> Discriminator([3, 16, 2])(torch.zeros(5, 3)).shape
    torch.Size([5])
    """

    def __init__(self, sizes: Sequence[int], *, hidden: str = "relu") -> None:
        super().__init__()
        if sizes[-1] not in (1, 2):
            raise ValueError(f"Discriminator: expected 1 or 2 outputs, got sizes {list(sizes)}.")
        self.n_features = sizes[0]
        self.layers = _layers("Discriminator", sizes, hidden, "linear")

    def forward(self, h: Tensor) -> Tensor:
        """Return the logits ``(B,)`` of samples ``(B, M)``; their sigmoid is D."""
        z = self.layers(_rows("Discriminator", h, self.n_features))
        return z[:, 0] - z[:, 1] if z.shape[1] == 2 else z[:, 0]

    @torch.no_grad()
    def answer(self, h: Tensor) -> Tensor:
        """Return D(h) ``(B,)``, how probable each sample is real, without its gradient."""
        return torch.sigmoid(self(h))


def example_68_6() -> tuple[Generator, Discriminator]:
    """Return the networks of Example 68.6, for images of 28 x 28 pixels brought to [-1, 1] (68.175).

    Three hidden layers in each: 2-256-512-1024-784 and 784-1024-512-256-2, ReLU inside, tanh where images
    come out. The example trains them with Adam, step size 0.0002, β₁ = 0.5, β₂ = 0.999, ρ = 0.0001 and
    batches of 128.
    """
    generator = Generator([2, 256, 512, 1024, 784], output="tanh")
    return generator, Discriminator([784, 1024, 512, 256, 2])


def _layers(name: str, sizes: Sequence[int], hidden: str, output: str) -> nn.Sequential:
    if len(sizes) < 2:
        raise ValueError(f"{name}: expected at least two sizes, of input and output; got {list(sizes)}.")
    for activation in (hidden, output):
        if activation not in ACTIVATIONS:
            raise ValueError(f"{name}: no activation {activation!r}; there are {', '.join(ACTIVATIONS)}.")
    layers = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), ACTIVATIONS[hidden]()]
    layers[-1] = ACTIVATIONS[output]()
    return nn.Sequential(*layers)


def _rows(name: str, x: Tensor, n: int) -> Tensor:
    if x.ndim != 2 or x.shape[1] != n:
        raise ValueError(
            f"{name}: expected rows of {n} numbers, got shape {tuple(x.shape)}. "
            "Flatten images first: images.reshape(len(images), -1)."
        )
    return x
