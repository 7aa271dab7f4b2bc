"""How fast is an epoch of `train_vae`, beside a loop with transform and loader, beside its matrix products?

Run as ``python tests/benchmarks/bench_vae.py``; it takes a minute or two. It uses two threads, or as many as
OMP_NUM_THREADS says: one, where other programs want the cores, too. Three promises:

* an epoch with the architecture of PyTorch's own example (784-400-20 and back, Bernoulli decoder, batches of
  128, Adam) is at least 2.5 times as fast as a loop like that of the example;
* it takes at most twice as long as the matrix products of its steps and nothing else;
* the step by hand in NumPy has at least 0.6 times the speed of the same step in PyTorch, both in float64,
  with the sizes of Example 68.1.

The example's script cannot be installed, so its loop is written anew here, from what it is known to do: each
image is kept as bytes and made a PIL image, then a float tensor; a DataLoader without workers shuffles and
collates; the loss is binary cross entropy plus divergence, summed; the step of Adam is 0.001. What the script
prints is left out, which can only make it faster. Images are those of MNIST if they are at hand, otherwise
noise of the same size: the time does not depend on them.

Contenders run in turns, the order reversed from round to round, and are compared within a round, so that a
machine that slows down meets both. Numbers are medians; behind a ratio stand its quartiles. A broken promise
makes the exit status 1.
"""

import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gennet import datasets
from gennet.autoencoder import copy_weights
from gennet.backprop import LINEAR, RELU, TANH, draw
from gennet.backprop.vae import Pair, step
from gennet.datasets import download
from gennet.training import train_vae
from gennet.vae import VAE, risk

FASTER_THAN_LOADER, TIMES_THE_FLOOR, NUMPY_SHARE = 2.5, 2.0, 0.6
IMAGES, BATCH, ROUNDS = 12_800, 128, 9  # a share of an epoch: the rest takes as long
THREADS = int(os.environ.get("OMP_NUM_THREADS", 2))


class Images(Dataset):
    """Images as bytes with their labels; each image goes through a transform when it is asked for."""

    def __init__(self, pixels: np.ndarray, transform: Callable[[Image.Image], Tensor]) -> None:
        self.pixels, self.transform = torch.from_numpy(pixels), transform
        self.labels = torch.zeros(len(pixels), dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        label = int(self.labels[i])
        return self.transform(Image.fromarray(self.pixels[i].numpy())), label


def to_tensor(image: Image.Image) -> Tensor:
    """Make of an image a tensor of floats in [0, 1], one channel first."""
    pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
    pixels = pixels.view(image.size[1], image.size[0], len(image.getbands()))
    return pixels.permute((2, 0, 1)).contiguous().to(dtype=torch.get_default_dtype()).div(255)


class Example(nn.Module):
    """The architecture of the example: 784-400-(20, 20) and 20-400-784."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc21, self.fc22 = nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = F.relu(self.fc1(x.view(-1, 784)))
        mu, logvar = self.fc21(y), self.fc22(y)
        std = torch.exp(0.5 * logvar)
        u = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.fc4(F.relu(self.fc3(u)))), mu, logvar


def epoch_of_the_example(pixels: np.ndarray) -> Callable[[], float]:
    model = Example()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(Images(pixels, to_tensor), batch_size=BATCH, shuffle=True)

    def epoch() -> float:
        model.train()
        total = 0.0
        for data, _ in loader:
            optimiser.zero_grad()
            recon, mu, logvar = model(data)
            cross_entropy = F.binary_cross_entropy(recon, data.view(-1, 784), reduction="sum")
            loss = cross_entropy - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            total += loss.item()
            optimiser.step()
        return -total / len(pixels)

    return epoch


def epoch_of_ours(pixels: np.ndarray) -> Callable[[], float]:
    X = torch.from_numpy(pixels.reshape(len(pixels), 784)).float() / 255
    model = VAE(784, 20, (400,), likelihood="bernoulli")
    return lambda: train_vae(model, X, epochs=1, batch=BATCH)[0]


def floor(images: int) -> Callable[[], float]:
    """Return the matrix products of the steps of an epoch: forwards, to the weights, to the signals."""
    x = torch.rand(BATCH, 784)
    W = [torch.randn(n, m) for n, m in ((784, 400), (400, 40), (20, 400), (400, 784))]
    signals = [x, torch.rand(BATCH, 400), torch.rand(BATCH, 20), torch.rand(BATCH, 400)]
    slopes = [torch.rand(BATCH, W_.shape[1]) for W_ in W]

    def products() -> float:
        for _ in range(-(-images // BATCH)):
            for y, W_ in zip(signals, W, strict=True):
                y @ W_
            for y, delta in zip(signals, slopes, strict=True):
                y.T @ delta
            for W_, delta in zip(W[1:], slopes[1:], strict=True):  # the data need no derivative
                delta @ W_.T
        return 0.0

    return products


def steps_by_hand_and_by_autograd(steps: int) -> dict[str, Callable[[], float]]:
    """The listing (68.79) and the same step in PyTorch: same weights, batch and draws, float64."""
    rng = np.random.default_rng(0)
    pair = Pair(
        draw([784, 512, 512, 4], [RELU, RELU, LINEAR], rng), draw([2, 512, 512, 784], [RELU, RELU, TANH], rng)
    )
    model = VAE(784, 2, (512, 512), output="tanh").double()
    copy_weights(pair.encoder, model.encoder)
    copy_weights(pair.decoder, model.decoder)
    h, eps = rng.uniform(-0.5, 0.5, (BATCH, 784)), rng.normal(size=(BATCH, 2))
    x, noise, lr, rho = torch.from_numpy(h), torch.from_numpy(eps), 1e-4, 1e-4
    descent = torch.optim.SGD(model.parameters(), lr)
    by_hand = pair

    def numpy() -> float:
        nonlocal by_hand
        for _ in range(steps):
            by_hand = step(by_hand, h, eps, lr, rho)
        return float(by_hand.decoder.W[2].sum())

    def pytorch() -> float:
        for _ in range(steps):
            descent.zero_grad()
            risk(model, x, noise, rho).backward()
            descent.step()
        return model.decoder[4].weight.sum().item()

    return {"NumPy, by hand": numpy, "PyTorch": pytorch}


def in_turns(works: dict[str, Callable[[], float]], rounds: int) -> dict[str, np.ndarray]:
    for work in works.values():
        work()  # warm
    times = {name: np.empty(rounds) for name in works}
    for turn in range(rounds):
        for name in list(works)[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            works[name]()
            times[name][turn] = time.perf_counter() - start
    return times


def ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, str]:
    low, middle, high = np.quantile(above / below, [0.25, 0.5, 0.75])
    return middle, f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def main() -> int:
    torch.set_num_threads(THREADS)
    threadpool_limits(THREADS)  # NumPy's
    torch.manual_seed(0)
    at_hand = download.status(datasets.card("mnist")) == "yes"
    if at_hand:
        pixels = (255 * datasets.load("mnist").split("train").x[:IMAGES]).round().astype(np.uint8)
    else:
        pixels = np.random.default_rng(0).integers(256, size=(IMAGES, 28, 28), dtype=np.uint8)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; {'MNIST' if at_hand else 'noise'}\n"
    )

    works = {"loop with loader": epoch_of_the_example(pixels), "train_vae": epoch_of_ours(pixels)}
    works["matrix products"] = floor(IMAGES)
    times = in_turns(works, ROUNDS)
    print(f"Seconds of an epoch of 60 000 images, 784-400-20 and back (measured on {IMAGES})")
    for name, seconds in times.items():
        print(f"  {name:20s} {np.median(seconds) * 60_000 / IMAGES:6.2f}")
    faster, said = ratio(times["loop with loader"], times["train_vae"])
    print(f"  train_vae is {said} times as fast as the loop with loader")
    above, said = ratio(times["train_vae"], times["matrix products"])
    print(f"  and takes {said} times as long as its matrix products\n")

    times = in_turns(steps_by_hand_and_by_autograd(10), 15)
    print(f"Milliseconds of a step with the sizes of Example 68.1, {BATCH} samples, float64")
    for name, seconds in times.items():
        print(f"  {name:20s} {1e3 * np.median(seconds) / 10:6.1f}")
    share, said = ratio(times["PyTorch"], times["NumPy, by hand"])
    print(f"  NumPy has {said} times the speed of PyTorch\n")

    kept = {
        f"{FASTER_THAN_LOADER} times as fast as a loop with transform and loader": faster
        >= FASTER_THAN_LOADER,
        f"at most {TIMES_THE_FLOOR} times the matrix products": above <= TIMES_THE_FLOOR,
        f"by hand at least {NUMPY_SHARE} times the speed of PyTorch": share >= NUMPY_SHARE,
    }
    for promise, holds in kept.items():
        print(f"{'kept' if holds else 'BROKEN'}: {promise}")
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
