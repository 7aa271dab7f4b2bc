"""Training: one explicit loop for each family of models, over one core that they share.

`Run` is the core: batches in a seeded order, a progress bar, a clear word on NaN, and a checkpoint from which
an interrupted training goes on to the identical result.
"""

from .gan import TrainingTrouble, train_discriminator, train_gan
from .run import Run
from .vae import train_vae

__all__ = ["Run", "TrainingTrouble", "train_discriminator", "train_gan", "train_vae"]
