"""How fast are `train_gan` and the listings by hand?

Run as ``python tests/benchmarks/bench_gan.py``; it takes about two minutes. MNIST is used if it is at hand,
else noise of its shape: the time is the same.

First promise: `train_gan` with the networks of ``implementations/gan/gan.py`` of eriklindernoren/PyTorch-GAN,
batches of 64, gets through at least 1.7 times the samples per second of a loop that works as that script does
(our target is twice): images as bytes, each made a picture, a tensor and a number in [-1, 1] by itself; a
`DataLoader` in the same process; a sigmoid and the binary cross entropy; backward passes that also fill the
gradients nobody uses; two plain Adams; a printed line for each batch. It is rewritten here, with PIL in place
of torchvision, whose per-image work is a little more. Neither side draws pictures. Shown without a promise:
the same loop fed from one tensor in memory, and the bare matrix products of the step, the floor.

Second promise: a round of the listings by hand, in NumPy, on the networks of Example 68.6 and batches of 128,
runs at least at 0.6 times the speed of PyTorch's autograd with plain gradient steps, both in float64 and
equal to 1e-10.

All sides run in turns and are compared within a round; behind a ratio stand its quartiles. A broken promise
makes the exit status 1.
"""

import copy
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gennet import datasets
from gennet.autoencoder import copy_weights
from gennet.backprop import LINEAR, RELU, TANH, Network, draw, forward
from gennet.backprop import gan as by_hand
from gennet.gan import NON_SATURATING
from gennet.gan.networks import example_68_6
from gennet.training.gan import TrainingTrouble, train_gan

FASTER_THAN_SCRIPT, NUMPY_OVER_TORCH = 1.7, 0.6
LATENT, BATCH, BATCHES = 100, 64, 60
ROUNDS = 15


# The networks of the script


def networks() -> tuple[nn.Sequential, nn.Sequential]:
    """Return the generator, and the discriminator up to the logit, one number for each sample."""
    torch.manual_seed(0)
    layers = [nn.Linear(LATENT, 128), nn.LeakyReLU(0.2, inplace=True)]
    for n, m in ((128, 256), (256, 512), (512, 1024)):
        layers += [nn.Linear(n, m), nn.BatchNorm1d(m, 0.8), nn.LeakyReLU(0.2, inplace=True)]
    generator = nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Linear(784, 512), nn.LeakyReLU(0.2, inplace=True), nn.Linear(512, 256),
        nn.LeakyReLU(0.2, inplace=True), nn.Linear(256, 1), nn.Flatten(0),
    )  # fmt: skip
    return generator, discriminator


class OneByOne(Dataset):
    """Images as bytes, each resized, made a tensor and normalised when it is asked for."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images  # (N, 28, 28), uint8

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, n: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[n]).resize((28, 28), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(picture, np.uint8, copy=True)).view(28, 28, 1)
        x = x.permute(2, 0, 1).contiguous().to(torch.get_default_dtype()).div(255).clone()
        mean, std = (torch.as_tensor([0.5], dtype=x.dtype) for _ in range(2))
        if (std == 0).any():
            raise ValueError("no spread")
        return x.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1)), 0


def in_memory(images: np.ndarray) -> list[tuple[Tensor, int]]:
    x = (torch.from_numpy(images).float().div(255) - 0.5) / 0.5
    return [(batch[:, None], 0) for batch in x[torch.randperm(len(x))].split(BATCH)]


def as_the_script(batches: Iterable) -> float:
    """Train for one epoch in the manner of the script; return the last loss of the discriminator."""
    generator, logit = networks()
    discriminator = nn.Sequential(*list(logit)[:-1], nn.Sigmoid())
    adams = [
        torch.optim.Adam(p.parameters(), lr=2e-4, betas=(0.5, 0.999)) for p in (generator, discriminator)
    ]
    loss, rng = nn.BCELoss(), np.random.default_rng(0)
    with open(os.devnull, "w") as nowhere:
        for n, (images, _) in enumerate(batches):
            ones, zeros = torch.ones(len(images), 1), torch.zeros(len(images), 1)
            adams[0].zero_grad()
            z = torch.tensor(rng.normal(0, 1, (len(images), LATENT)), dtype=torch.float32)
            fakes = generator(z).view(len(images), 1, 28, 28)
            g_loss = loss(discriminator(fakes.view(len(images), -1)), ones)
            g_loss.backward()
            adams[0].step()
            adams[1].zero_grad()
            of_real = loss(discriminator(images.view(len(images), -1)), ones)
            of_fake = loss(discriminator(fakes.detach().view(len(images), -1)), zeros)
            d_loss = (of_real + of_fake) / 2
            d_loss.backward()
            adams[1].step()
            print(f"batch {n}, D {d_loss.item():f}, G {g_loss.item():f}", file=nowhere)
    return d_loss.item()


def ours(X: Tensor) -> float:
    generator, discriminator = networks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingTrouble)  # one short epoch
        history = train_gan(
            generator, discriminator, X, latent=LATENT, epochs=1, lr=2e-4, batch=BATCH, recycle=True
        )
    return history["discriminator"][0]


def floor() -> Callable[[], None]:
    """Return all matrix products of an epoch, and nothing else."""

    def signals(sizes: list[int], B: int) -> list[Tensor]:
        return [torch.randn(B, n) for n in sizes]

    sizes_g, sizes_d = [LATENT, 128, 256, 512, 1024, 784], [784, 512, 256, 1]
    W_g, W_d = ([torch.randn(m, n) for n, m in pairwise(sizes)] for sizes in (sizes_g, sizes_d))
    y_g, y_d, both = signals(sizes_g, BATCH), signals(sizes_d, BATCH), signals(sizes_d, 2 * BATCH)

    def products(W: list[Tensor], y: list[Tensor], weights: bool, inputs: bool) -> None:
        for n, (V, (below, above)) in enumerate(zip(W, pairwise(y), strict=True)):
            below @ V.T
            if weights:
                above.T @ below
            if inputs or n:
                above @ V

    def of_an_epoch() -> None:
        for _ in range(BATCHES):
            products(W_g, y_g, weights=True, inputs=False)
            products(W_d, y_d, weights=False, inputs=True)  # the generator's step
            products(W_d, both, weights=True, inputs=False)

    return of_an_epoch


# The listing


def listing() -> tuple[Callable[[], object], Callable[[], object], float]:
    """Return a round by hand, the same round in PyTorch, and the largest difference between their results."""
    rng = np.random.default_rng(0)
    g = draw([2, 256, 512, 1024, 784], [RELU, RELU, RELU, TANH], rng)
    d = draw([784, 1024, 512, 256, 2], [RELU, RELU, RELU, LINEAR], rng)
    h, u = rng.normal(size=(128, 784)), rng.normal(size=(2, 128, 2))
    torch.set_default_dtype(torch.float64)
    generator, discriminator = example_68_6()
    torch.set_default_dtype(torch.float32)
    copy_weights(g, generator)
    copy_weights(d, discriminator)
    real, first, second = (torch.from_numpy(x) for x in (h, *u))

    def numpy_round() -> tuple[Network, Network]:
        new = by_hand.discriminator_step(d, h, forward(g, u[0]).y[-1], 1e-3, 1e-4)
        return by_hand.generator_step(g, new, u[1], 1e-3, 1e-4), new

    def optimiser(module: nn.Module) -> torch.optim.SGD:
        parts = list(module.parameters())
        decayed = {"params": [p for p in parts if p.ndim == 2], "weight_decay": 2e-4}
        return torch.optim.SGD([decayed, {"params": [p for p in parts if p.ndim == 1]}], lr=1e-3)

    def torch_round(G: nn.Module = generator, D: nn.Module = discriminator) -> tuple[nn.Module, nn.Module]:
        descent_g, descent_d = optimiser(G), optimiser(D)
        with torch.no_grad():
            fakes = G(first)
        loss = NON_SATURATING.discriminator_loss(D, real, fakes)
        descent_d.zero_grad()
        loss.backward()
        descent_d.step()
        loss = NON_SATURATING.generator_loss(D, G(second))
        descent_g.zero_grad()
        loss.backward(inputs=list(G.parameters()))
        descent_g.step()
        return G, D

    difference = 0.0
    modules = torch_round(copy.deepcopy(generator), copy.deepcopy(discriminator))
    for network, module in zip(numpy_round(), modules, strict=True):
        linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
        for W, theta, layer in zip(network.W, network.theta, linear, strict=True):
            for a, b in ((W, layer.weight.T), (theta, -layer.bias)):
                difference = max(difference, np.abs(a - b.detach().numpy()).max())
    return numpy_round, torch_round, difference


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(works: dict[str, Callable[[], object]]) -> dict[str, np.ndarray]:
    """Time all works in turns, after one that does not count."""
    for work in works.values():
        work()
    times = [{name: seconds(work) for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: np.array([row[name] for row in times]) for name in works}


def main() -> int:
    try:
        images = datasets.load("mnist").split("train").x[: BATCH * BATCHES]
    except datasets.DataError:
        images = np.random.default_rng(0).random((BATCH * BATCHES, 28, 28))
    bytes_ = (255 * images).round().astype(np.uint8)
    X = (torch.from_numpy(bytes_).float().div(255) - 0.5).div(0.5).flatten(1)
    works = {
        "in the manner of the script": lambda: as_the_script(
            DataLoader(OneByOne(bytes_), batch_size=BATCH, shuffle=True)
        ),
        "the same, from one tensor": lambda: as_the_script(in_memory(bytes_)),
        "train_gan": lambda: ours(X),
        "matrix products alone": floor(),
    }
    print(f"{torch.get_num_threads()} threads; {BATCHES} batches of {BATCH}\n")
    times = compare(works)
    script = times["in the manner of the script"]
    print("                              samples/s   times the script")
    for name, spent in times.items():
        low, middle, high = np.quantile(script / spent, [0.25, 0.5, 0.75])
        speed = len(X) / np.median(spent)
        print(f"{name:28} {speed:10.0f}   {middle:6.2f} [{low:.2f}, {high:.2f}]")
    faster = np.median(script / times["train_gan"])

    numpy_round, torch_round, difference = listing()
    times = compare({"NumPy": numpy_round, "PyTorch": torch_round})
    low, middle, high = np.quantile(times["PyTorch"] / times["NumPy"], [0.25, 0.5, 0.75])
    print("\nA round of the listings, networks of Example 68.6, float64: milliseconds")
    print(", ".join(f"{name} {1e3 * np.median(spent):.0f}" for name, spent in times.items()), end="; ")
    print(f"NumPy at {middle:.2f} [{low:.2f}, {high:.2f}] times the speed; difference {difference:.1e}\n")

    promises = {
        f"train_gan: at least {FASTER_THAN_SCRIPT} times the script": faster >= FASTER_THAN_SCRIPT,
        f"listing: at least {NUMPY_OVER_TORCH} times PyTorch, equal to 1e-10": middle >= NUMPY_OVER_TORCH
        and difference < 1e-10,
    }
    for promise, kept in promises.items():
        print(f"{'kept  ' if kept else 'BROKEN'}  {promise}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
