"""Training can be interrupted anywhere and goes on to the identical result; trouble is said in words."""

import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gennet.training import Run, run, train_vae
from gennet.vae import VAE


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data(M: int = 50, seed: int = 0) -> Tensor:
    return torch.rand(M, 8, generator=torch.Generator().manual_seed(seed))


def model(seed: int = 0) -> VAE:
    torch.manual_seed(seed)
    return VAE(8, 2, (6,), likelihood="bernoulli")


OPTIONS = {"epochs": 5, "batch": 8, "lr": 1e-2, "seed": 3}  # 7 steps an epoch, the last one smaller


def when(learner: VAE, call: int, what: Callable[[], None]) -> VAE:
    """Let something happen in the middle of a step: when the bound is computed for the n-th time."""
    bound, calls = learner.elbo, 0

    def elbo(*arguments, **options) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == call:
            what()
        return bound(*arguments, **options)

    learner.elbo = elbo
    return learner


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


# Interrupted and resumed


@pytest.mark.parametrize(
    "call", [1, 3, 7, 8, 20, 35]
)  # first, middle, end of an epoch, first of the next, last
@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.SGD])
def test_interrupted_training_goes_on_to_the_identical_result(tmp_path: Path, optimiser: type, call: int):
    whole = model()
    history = train_vae(whole, data(), optimiser=optimiser, **OPTIONS)

    file = tmp_path / "vae.pt"
    stopped = when(model(), call, interrupt)
    with pytest.raises(
        KeyboardInterrupt, match=rf"stopped after step {call}, saved to .*vae.pt: call it again"
    ):
        train_vae(stopped, data(), optimiser=optimiser, checkpoint=file, **OPTIONS)
    assert call == 35 or not same(stopped, whole)

    other = model(seed=9)  # its weights do not matter: those of the file do
    torch.manual_seed(123)
    again = train_vae(other, data(), optimiser=optimiser, checkpoint=file, **OPTIONS)
    assert same(other, whole) and again == history
    assert [path.name for path in tmp_path.iterdir()] == ["vae.pt"]


def test_many_interruptions(tmp_path: Path):
    whole = model()
    history = train_vae(whole, data(), **OPTIONS)
    for _ in range(11):
        with pytest.raises(KeyboardInterrupt):
            train_vae(when(model(), 3, interrupt), data(), checkpoint=tmp_path / "vae.pt", **OPTIONS)
    last = model()
    assert train_vae(last, data(), checkpoint=tmp_path / "vae.pt", **OPTIONS) == history
    assert same(last, whole)


def test_error_in_the_middle_of_a_step_leaves_the_last_saved_state(tmp_path: Path):
    """No half step is saved: what stands in the file are whole steps, the first state at worst."""

    def fail() -> None:
        raise KeyboardInterrupt  # not by a signal: it cannot wait

    whole = model()
    train_vae(whole, data(), **OPTIONS)
    learner = when(model(), 20, fail)
    with pytest.raises(KeyboardInterrupt):
        train_vae(learner, data(), checkpoint=tmp_path / "vae.pt", **OPTIONS)
    del learner.elbo
    train_vae(learner, data(), checkpoint=tmp_path / "vae.pt", **OPTIONS)
    assert same(learner, whole)


KILLED = """
import sys, torch
from gennet.training import run, train_vae
sys.path.insert(0, {tests!r})
from test_training import OPTIONS, data, model, when
import os, signal
torch.set_num_threads(1)
run.SAVE_EVERY = 0.0
doomed = when(model(), 20, lambda: os.kill(os.getpid(), signal.SIGKILL))
train_vae(doomed, data(), checkpoint={file!r}, **OPTIONS)
"""


def test_killed_process_goes_on_in_another(tmp_path: Path):
    whole = model()
    history = train_vae(whole, data(), **OPTIONS)
    file = tmp_path / "vae.pt"
    program = KILLED.format(tests=str(Path(__file__).parent), file=str(file))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert torch.load(file, weights_only=True)["step"] == 19
    other = model(seed=9)
    assert train_vae(other, data(), checkpoint=file, **OPTIONS) == history
    assert same(other, whole)


def test_finished_training_is_not_repeated_but_can_be_prolonged(tmp_path: Path):
    longer = OPTIONS | {"epochs": 8}
    whole, file = model(), tmp_path / "vae.pt"
    history = train_vae(whole, data(), **longer)
    learner = model()
    first = train_vae(learner, data(), checkpoint=file, **OPTIONS)
    five = {name: part.clone() for name, part in learner.state_dict().items()}
    assert train_vae(learner, data(), checkpoint=file, **OPTIONS) == first == history[:5]
    assert all(torch.equal(part, five[name]) for name, part in learner.state_dict().items())
    assert train_vae(learner, data(), checkpoint=file, **longer) == history and same(learner, whole)


def test_dropout_and_two_optimisers_go_on_too(tmp_path: Path):
    """Random numbers of PyTorch's own generator, and losses that are not recorded in every step."""

    def learn(stop: int | None, checkpoint: Path | None) -> tuple[nn.Module, dict]:
        torch.manual_seed(0)
        net, other = nn.Sequential(nn.Linear(8, 6), nn.Dropout(0.5), nn.Linear(6, 1)), nn.Linear(8, 1)
        parts = {"net": net, "other": other}
        for name in ("net", "other"):
            parts[f"descent of {name}"] = torch.optim.Adam(parts[name].parameters(), 0.01)
        X = data()
        with Run("learn", parts, [X, X[:, :1]], batch=8, epochs=4, checkpoint=checkpoint) as now:
            for rows in now:
                noise = torch.randn(len(rows), 8, generator=now.generator)
                for every, name in ((1, "net"), (3, "other")):
                    if (now.step + 1) % every == 0:
                        loss = parts[name](X[rows] + noise).square().mean()
                        now.record(**{name: loss})
                        parts[f"descent of {name}"].zero_grad()
                        loss.backward()
                        parts[f"descent of {name}"].step()
                if now.step == stop:
                    interrupt()
        return nn.ModuleList([net, other]), now.history

    whole, history = learn(None, None)
    with pytest.raises(KeyboardInterrupt, match="learn: stopped after step 12"):
        learn(11, tmp_path / "state.pt")
    now, again = learn(None, tmp_path / "state.pt")
    assert same(now, whole) and again == history
    assert sorted(history) == ["net", "other"] and len(history["net"]) == len(history["other"]) == 4


def test_second_signal_stops_at_once_and_the_handler_is_given_back():
    def twice() -> None:
        interrupt()
        interrupt()

    before = signal.getsignal(signal.SIGINT)
    learner = when(model(), 3, twice)
    with pytest.raises(KeyboardInterrupt) as stopped:
        train_vae(learner, data(), **OPTIONS)
    assert "after step" not in str(stopped.value)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt, match="stopped after step 3, not saved"):
        train_vae(when(model(), 3, interrupt), data(), **OPTIONS)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_another_thread():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(train_vae(model(), data(), **OPTIONS)))
    thread.start()
    thread.join()
    assert histories == [train_vae(model(), data(), **OPTIONS)]


# The file


def test_file_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "vae.pt"
    with pytest.raises(KeyboardInterrupt):
        train_vae(when(model(), 9, interrupt), data(), checkpoint=file, **OPTIONS)
    before, save = file.read_bytes(), torch.save

    def full_disk(state: dict, target: object) -> None:
        target.write(b"half of")
        raise OSError("No space left on device")

    monkeypatch.setattr(run.torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        train_vae(model(), data(), checkpoint=file, **OPTIONS)
    assert file.read_bytes() == before
    monkeypatch.setattr(run.torch, "save", save)
    whole, learner = model(), model()
    train_vae(whole, data(), **OPTIONS)
    train_vae(learner, data(), checkpoint=file, **OPTIONS)
    assert same(learner, whole)


def test_file_of_another_training_is_refused_in_words(tmp_path: Path):
    file = tmp_path / "vae.pt"
    train_vae(model(), data(), checkpoint=file, **OPTIONS)
    kept = file.read_bytes()
    for change, said in (
        ({"lr": 0.5}, "lr 0.01, now 0.5"),
        ({"batch": 16}, "batch 8, now 16"),
        ({"seed": 4}, "seed 3, now 4"),
        ({"kappa": 2.0}, "kappa 1.0, now 2.0"),
        ({"optimiser": torch.optim.SGD}, "optimiser Adam, now SGD"),
        ({"epochs": 3}, "has 5 epochs behind it, and 3 are asked for"),
    ):
        learner = model(seed=5)
        with pytest.raises(ValueError, match=said):
            train_vae(learner, data(), checkpoint=file, **OPTIONS | change)
        assert same(learner, model(seed=5))  # nothing was changed
    for other in (data(seed=1), data(M=40), data().double()):
        with pytest.raises(ValueError, match="is of another training: data"):
            train_vae(model(), other, checkpoint=file, **OPTIONS)
    for wrong in (VAE(8, 2, (7,), likelihood="bernoulli"), VAE(8, 2, (), likelihood="bernoulli")):
        with pytest.raises(ValueError, match="holds weights of other names or shapes"):
            train_vae(wrong, data(), checkpoint=file, **OPTIONS)
    assert file.read_bytes() == kept


class Trap:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> tuple:
        return (Path("opened").touch, ())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"step": 3}), "trap", "cut"])
def test_file_that_is_no_checkpoint_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | str
):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "vae.pt"
    if content == "trap":
        torch.save({"parts": Trap()}, file)
    elif content == "cut":
        train_vae(model(), data(), checkpoint=file, **OPTIONS)
        file.write_bytes(file.read_bytes()[:-200])
    else:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"train_vae: .*vae.pt cannot be read as a checkpoint .*Delete it"):
        train_vae(model(), data(), checkpoint=file, **OPTIONS)
    assert not (tmp_path / "opened").exists()


# Progress and trouble


def test_every_sample_is_seen_once_in_an_epoch():
    layer = nn.Linear(8, 1)
    seen = []
    with Run("look", {"layer": layer}, [data()], batch=8, epochs=3) as now:
        for rows in now:
            now.record(loss=float(len(rows)))
            seen.append(rows)
    assert [len(rows) for rows in seen] == 3 * [8, 8, 8, 8, 8, 8, 2] and now.step == 21
    orders = torch.cat(seen).reshape(3, 50)
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert now.history["loss"] == [pytest.approx((6 * 8 * 8 + 2 * 2) / 50)] * 3  # means over samples


def test_bar_is_shown_only_when_it_has_a_title(capsys: pytest.CaptureFixture):
    train_vae(model(), data(), **OPTIONS)
    assert capsys.readouterr().err == ""
    train_vae(model(), data(), bar="a small model", **OPTIONS)
    shown = capsys.readouterr().err
    assert "a small model" in shown and "35/35 steps" in shown


def test_divergence_is_said_in_words(tmp_path: Path):
    learner = model()
    with pytest.raises(
        FloatingPointError, match=r"the bound is (nan|-inf) in step \d+, epoch \d+ of 5.*lr 1e\+30"
    ):
        train_vae(learner, data(), **OPTIONS | {"lr": 1e30}, optimiser=torch.optim.SGD)
    said = pytest.raises(FloatingPointError, match="the loss is nan in step 1, epoch 1 of 2")
    with said, Run("look", {}, [data()], batch=8, epochs=2) as now:
        for _ in now:
            now.record(loss=torch.tensor(float("nan")))


def test_training_that_fails_in_its_first_step_leaves_no_file(tmp_path: Path):
    file = tmp_path / "vae.pt"
    for wrong, said in (({"kappa": -1.0}, "kappa must be at least 0"), ({"k": 0}, "at least one draw")):
        with pytest.raises(ValueError, match=said):
            train_vae(model(), data(), checkpoint=file, **OPTIONS | wrong)
        assert not file.exists()
    with pytest.raises(FloatingPointError):
        train_vae(model(), data(), checkpoint=file, **OPTIONS | {"lr": 1e30}, optimiser=torch.optim.SGD)
    assert file.exists()  # the state before it went wrong


def test_bad_input_is_refused_in_words():
    for batch in (0, -1):
        with pytest.raises(ValueError, match=f"train_vae: batch must be at least 1, got {batch}"):
            train_vae(model(), data(), epochs=1, batch=batch)
    with pytest.raises(ValueError, match="train_vae: epochs must be at least 1, got 0"):
        train_vae(model(), data(), epochs=0)
    with pytest.raises(ValueError, match="at least one, got shape"):
        train_vae(model(), data()[:0], epochs=1)
    with pytest.raises(ValueError, match=r"expected data of one length above 0, got \[0\] rows"):
        Run("look", {}, [data()[:0]], batch=8, epochs=1)
    with pytest.raises(ValueError, match=r"expected data of one length above 0, got \[40, 50\] rows"):
        Run("look", {}, [data(), data(40)], batch=8, epochs=1)
    spoilt = data()
    spoilt[3, :2] = float("nan")
    with pytest.raises(ValueError, match="look: 2 of 400 values are NaN or infinite"):
        Run("look", {}, [spoilt], batch=8, epochs=1)
    with pytest.raises(ValueError, match="some numbers of the samples are NaN or infinite"):
        train_vae(model(), spoilt, epochs=1)
    spoilt = data()
    spoilt[49] *= 255
    learner = when(model(), 1, lambda: pytest.fail("a step was made"))
    with pytest.raises(ValueError, match=r"samples from .* but this decoder gives numbers in \[0, 1\]"):
        train_vae(learner, spoilt, epochs=1)
    with pytest.raises(FileNotFoundError):
        train_vae(model(), data(), epochs=1, checkpoint="no/such/folder/vae.pt")
