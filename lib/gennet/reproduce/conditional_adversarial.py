"""Chapter 10 at full size: MNIST digits made to order, by both designs (Sayed 68.6, Problem 68.8).

The networks are smaller than those of Example 68.6, and make larger steps, so that all trainings end within
minutes. They run in float32 on one thread, where their last digits differ from machine to machine. Left out:
few labels.
"""

import numpy as np
import torch
from sklearn.svm import SVC
from tqdm.auto import tqdm

from gennet.cgan import ClassDiscriminator, on_demand, variety
from gennet.cvae import one_hot
from gennet.gan import Discriminator, Generator
from gennet.reproduce.adversarial_training import Digits, mnist_from_minus_one
from gennet.reproduce.variational import _as_hex, _float32_on_one_thread
from gennet.training.cgan import train_cgan, train_class_gan

P, M, C = 16, 784, 10
SETTINGS = {"latent": P, "lr": 1e-3, "rho": 1e-4, "batch": 128, "noise": 0.2}


def cgan_mnist(seeds: int = 2, epochs: int = 8, images: int = 20_000) -> dict:
    """Train both designs of a conditional adversarial network on a part of MNIST.

    Label at the inputs: a generator 26-256-784 and a discriminator 794-256-2. C + 1 outputs: the same
    generator, and 784-256-11. Adam with steps of 0.001, and noise of 0.2 on pixels in [-1, 1]. A support
    vector machine that has learnt the 10 000 test images, which no player has seen, looks at 100 samples of
    each digit.

    Returns
    -------
    dict
        By name of the design: ``accuracy``, a list over the seeds, the share of samples in which the digit
        asked for is seen; ``by digit``, the same for each digit, averaged over the seeds; ``variety``, a list
        over the seeds, see `gennet.cgan.variety`; ``pictures`` of the first seed: 4 rows of the digits 0 to
        9. ``judge``: the share of 2000 real training images that the
        judge sees rightly. ``start``: see there, by design. ``epochs`` and ``images``.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    data = mnist_from_minus_one(images)
    judge = SVC(C=10).fit(data.X_test.numpy(), data.y_test)
    right = float((judge.predict(data.X[:2000].numpy()) == data.y[:2000]).mean())
    result = {"judge": round(right, 4), "epochs": epochs, "images": images}
    result["start"] = {name: start(name) for name in DESIGNS}
    asked = torch.arange(C).repeat_interleave(100)
    with _float32_on_one_thread():
        for name, design in DESIGNS.items():
            seen, varied, pictures = [], [], []
            for seed in tqdm(range(seeds), desc=name, disable=None):
                G, _ = design(data, seed, epochs)
                made = on_demand(G, asked, C)
                seen.append(judge.predict(made.numpy()) == asked.numpy())
                varied.append(round(variety(made, asked, data.X_test, torch.from_numpy(data.y_test)), 4))
                if seed == 0:
                    sheet = on_demand(G, torch.arange(C).repeat(4), C, seed=1)
                    pictures = _as_hex((sheet + 1) / 2)
            result[name] = {
                "accuracy": [round(float(row.mean()), 4) for row in seen],
                "by digit": np.mean(seen, axis=0).reshape(C, 100).mean(axis=1).round(4).tolist(),
                "variety": varied,
                "pictures": pictures,
            }
    return result


def start(name: str) -> dict[str, float]:
    """Return the mean losses of the first 20 rounds of a design on the first 2560 images, in nats."""
    with _float32_on_one_thread():
        _, history = DESIGNS[name](mnist_from_minus_one(2560), 0, 1)
    return {player: round(losses[0], 4) for player, losses in history.items()}


def _label_at_the_inputs(data: Digits, seed: int, epochs: int) -> tuple[Generator, dict]:
    torch.manual_seed(seed)
    G = Generator([P + C, 256, M], output="tanh")
    D = Discriminator([M + C, 256, 2])
    gamma = one_hot(torch.from_numpy(data.y), C)
    return G, train_cgan(G, D, data.X, gamma, epochs=epochs, seed=seed, **SETTINGS)


def _class_outputs(data: Digits, seed: int, epochs: int) -> tuple[Generator, dict]:
    torch.manual_seed(seed)
    G = Generator([P + C, 256, M], output="tanh")
    D = ClassDiscriminator([M, 256, C + 1])
    return G, train_class_gan(G, D, data.X, torch.from_numpy(data.y), epochs=epochs, seed=seed, **SETTINGS)


DESIGNS = {"label at the inputs": _label_at_the_inputs, "C + 1 outputs": _class_outputs}
