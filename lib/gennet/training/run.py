"""What every training loop of the course needs beside its mathematics.

Batches in a seeded order, a progress bar, a clear word when a loss is NaN, and a file from which an
interrupted training goes on to the very same result. The loops themselves, one for each family of models, are
the other modules. Left out: schedules of the step size, early stopping, and several machines.
"""

import math
import os
import pickle
import signal
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm

SAVE_EVERY = 30.0  # seconds between two savings while the training runs
BAR = "{desc}: {bar} {n_fmt}/{total_fmt} steps"  # no times: a notebook stores it


class Run:
    """One training: it hands out the batches of all epochs, and can be stopped and taken up again.

    A loop reads ``with Run(...) as run: for rows in run: ...``. Every pass of the loop is a step: it takes
    the samples ``X[rows]``, gives its losses to `record`, and changes the weights. Its random numbers come
    from ``run.generator``, or else from PyTorch's own (dropout): both are saved.

    A SIGINT (Ctrl-C, or the stop button of a notebook) waits until the step is done; then the state is saved
    and KeyboardInterrupt raised. A second one stops at once. With a checkpoint the state is also saved before
    the first step, after the last, and every half minute between, always between two steps: a training that
    is killed loses at most that.

    Parameters
    ----------
    name
        Of the loop, for messages: ``"train_vae"``.
    parts
        Modules and optimisers by name: all that learns, and whose state is saved.
    data
        The tensors whose rows the batches are taken from, all of the same length M; a saved training of other
        data is refused.
    batch, epochs
        Samples in a batch (the last one of an epoch may be smaller), passes through the data.
    seed
        Of the order of the samples, and of ``run.generator``.
    settings
        What else must be the same in a training that goes on: numbers and words by name, such as ``lr``.
    checkpoint
        The file of the state. If it exists the training goes on from there, with the weights in the file;
        with more epochs than before it is prolonged. Without one nothing is saved.
    bar
        Title of a progress bar; none is shown if it is empty.

    Attributes
    ----------
    generator : torch.Generator
        On the CPU. Draw the noise of the steps from it.
    step, epoch : int
        How many steps, and how many whole epochs, are done: not set back when a training goes on.
    history : dict
        By the names given to `record`, the mean of each finished epoch.

    Raises
    ------
    ValueError
        If there are no data, or they differ in length, hold NaN or infinity; if batch or epochs are not
        positive; if the checkpoint cannot be read, or is that of another training.
    FloatingPointError
        From `record`, if a loss is NaN or infinite.

    Examples
    --------
    >>> layer, X = nn.Linear(2, 1), torch.ones(5, 2)
    >>> optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    >>> with Run("example", {"layer": layer, "optimiser": optimiser}, [X], batch=2, epochs=3) as run:
    ...     for rows in run:
    ...         loss = layer(X[rows]).square().mean()
    ...         run.record(loss=loss)
    ...         optimiser.zero_grad()
    ...         loss.backward()
    ...         optimiser.step()
    >>> run.step, len(run.history["loss"])
    (9, 3)
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, nn.Module | Optimizer],
        data: Sequence[Tensor],
        *,
        batch: int,
        epochs: int,
        seed: int = 0,
        settings: Mapping[str, float | int | str | bool] | None = None,
        checkpoint: str | os.PathLike | None = None,
        bar: str = "",
    ) -> None:
        self.name, self.parts, self.batch, self.epochs = name, dict(parts), batch, epochs
        self.length = self._checked(data)
        self.settings = {"batch": batch, "seed": seed, **(settings or {})}
        self.generator = torch.Generator().manual_seed(seed)
        self.step = self.epoch = 0
        self.history: dict[str, list[float]] = {}
        self._totals: dict[str, list[float]] = {}  # of this epoch: sum of losses, number of samples
        self._order, self._place = torch.randperm(self.length, generator=self.generator), 0
        self._asked_to_stop, self._title = False, bar
        self.checkpoint = Path(checkpoint) if checkpoint is not None else None
        if self.checkpoint:
            self._data = [f"{tuple(x.shape)} {x.dtype} {_digest(x):08x}" for x in data]
            self._load() if self.checkpoint.exists() else self._save()

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the rows of each batch, ``(batch,)``, from where the training stands to the last epoch."""
        while self.epoch < self.epochs:
            while self._place < self.length:
                self._between_steps()
                yield self._rows
                self._place += self.batch
                self.step += 1
                self._bar.update()
            for name, (total, samples) in self._totals.items():
                self.history.setdefault(name, []).append(total / samples)
            self._totals, self.epoch = {}, self.epoch + 1
            self._order, self._place = torch.randperm(self.length, generator=self.generator), 0
        self._between_steps(last=True)

    def record(self, **losses: Tensor | float) -> None:
        """Take the mean losses of a batch into the history; call it before the weights change.

        Raises
        ------
        FloatingPointError
            If one is NaN or infinite.
        """
        samples = len(self._rows)
        for name, loss in losses.items():
            value = loss.item() if isinstance(loss, Tensor) else loss
            if not math.isfinite(value):
                given = ", ".join(f"{key} {setting}" for key, setting in self.settings.items())
                raise FloatingPointError(
                    f"{self.name}: the {name} is {value} in step {self.step + 1}, epoch {self.epoch + 1} of "
                    f"{self.epochs}. The steps are too large: lower the step size (now {given})."
                )
            total = self._totals.setdefault(name, [0.0, 0])
            total[0] += value * samples
            total[1] += samples

    def __enter__(self) -> Self:
        """Let SIGINT wait for the end of a step, and show the bar."""
        steps = self.epochs * -(-self.length // self.batch)
        self._bar = tqdm(
            desc=self._title, total=steps, initial=self.step, disable=not self._title, bar_format=BAR
        )
        self._saved = time.monotonic()
        self._handler = None
        if threading.current_thread() is threading.main_thread():  # no other thread gets signals
            self._handler = signal.signal(signal.SIGINT, self._ask_to_stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give SIGINT back, and close the bar; a training that failed in its first step leaves no file."""
        self._restore_signal()
        self._bar.close()
        if self.checkpoint and self.step == 0 and isinstance(error, Exception):
            self.checkpoint.unlink(missing_ok=True)

    @property
    def _rows(self) -> Tensor:
        return self._order[self._place : self._place + self.batch]

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_stop = True
        self._restore_signal()  # a second SIGINT does not wait

    def _restore_signal(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def _between_steps(self, last: bool = False) -> None:
        """Save if it is time; stop if SIGINT came. Here, and only here, the state is that of whole steps."""
        if self.checkpoint and (last or self._asked_to_stop or time.monotonic() - self._saved > SAVE_EVERY):
            self._save()
            self._saved = time.monotonic()
        if self._asked_to_stop:
            again = f"saved to {self.checkpoint}: call it again to go on" if self.checkpoint else "not saved"
            raise KeyboardInterrupt(f"{self.name}: stopped after step {self.step}, {again}.")

    def _save(self) -> None:
        """Write the state beside its file, then put it in its place: the file is never half written."""
        state = {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "settings": self.settings,
            "data": self._data,
            "step": self.step,
            "epoch": self.epoch,
            "history": self.history,
            "totals": self._totals,
            "order": self._order,
            "place": self._place,
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
        }
        draft = self.checkpoint.with_name(self.checkpoint.name + ".part")
        with draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.checkpoint)

    def _load(self) -> None:
        """Go on from the file, if it is that of this training; until that is sure nothing is changed."""
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            theirs = {"data": state["data"], **state["settings"]}
            shapes = {name: _shapes(part) for name, part in state["parts"].items()}
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"{self.name}: {self.checkpoint} cannot be read as a checkpoint "
                f"({type(error).__name__}). Delete it, or name another file."
            ) from error
        ours = {"data": self._data, **self.settings}
        for key in theirs | ours:
            if theirs.get(key) != ours.get(key):
                raise ValueError(
                    f"{self.name}: {self.checkpoint} is of another training: {key} {theirs.get(key)}, now "
                    f"{ours.get(key)}. Give the same settings, or name another file."
                )
        if shapes != {name: _shapes(part.state_dict()) for name, part in self.parts.items()}:
            raise ValueError(
                f"{self.name}: {self.checkpoint} holds weights of other names or shapes than this model's. "
                "Build the model as it was, or name another file."
            )
        if state["epoch"] > self.epochs:
            raise ValueError(
                f"{self.name}: {self.checkpoint} has {state['epoch']} epochs behind it, and {self.epochs} "
                "are asked for. Ask for more, or name another file."
            )
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.step, self.epoch = state["step"], state["epoch"]
        self.history, self._totals = state["history"], state["totals"]
        self._order, self._place = state["order"], state["place"]
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])

    def _checked(self, data: Sequence[Tensor]) -> int:
        for what, number in (("batch", self.batch), ("epochs", self.epochs)):
            if number < 1:
                raise ValueError(f"{self.name}: {what} must be at least 1, got {number}.")
        lengths = {len(x) for x in data}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"{self.name}: expected data of one length above 0, got {sorted(lengths)} rows.")
        for x in data:
            if math.isfinite(x.sum()):  # quick, and enough unless the sum itself overflows
                continue
            if bad := int((~torch.isfinite(x)).sum()):
                raise ValueError(
                    f"{self.name}: {bad} of {x.numel()} values are NaN or infinite. Remove or fill them."
                )
        return lengths.pop()


def _shapes(state: Mapping[str, object]) -> dict[str, list[int]]:
    """Return the shapes of a module's weights; an optimiser has none that can be compared."""
    return {name: list(part.shape) for name, part in state.items() if isinstance(part, Tensor)}


def _digest(x: Tensor) -> int:
    return zlib.crc32(x.detach().cpu().contiguous().numpy())
