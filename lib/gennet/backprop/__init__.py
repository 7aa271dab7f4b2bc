"""The text's listings made executable: NumPy only, gradients by hand, the text's own symbols.

`network` is the ground floor: layers, forward pass, sensitivities backwards, gradients. `sparse_autoencoder`
(Crowley's lecture), `vae`, `cvae`, `gan` and `cgan` (Sayed) stand on it. Convention throughout: a sample is a
row, and a layer is ``z = y @ W - theta``, so the gradient in theta carries a minus sign. What a practitioner
writes instead, with automatic differentiation, is in the rooms named after the models.
"""

from . import cgan, cvae, gan, sparse_autoencoder, vae
from .network import (
    LINEAR,
    RELU,
    SIGMOID,
    TANH,
    Activation,
    Gradients,
    Network,
    Signals,
    descend,
    draw,
    forward,
    gradients,
    sensitivities,
)

__all__ = [
    "LINEAR",
    "RELU",
    "SIGMOID",
    "TANH",
    "Activation",
    "Gradients",
    "Network",
    "Signals",
    "cgan",
    "cvae",
    "descend",
    "draw",
    "forward",
    "gan",
    "gradients",
    "sensitivities",
    "sparse_autoencoder",
    "vae",
]
