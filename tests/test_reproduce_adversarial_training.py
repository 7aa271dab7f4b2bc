"""The stored results of chapter 09 are what its experiments give, where the data are at hand.

The trainings are in float32, where two machines agree for some dozens of steps; of the long ones only what
cannot depend on the last digits is compared.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from gennet import reproduce
from gennet.reproduce import adversarial_training
from gennet.reproduce.adversarial_training import Verdict, verdict
from gennet.reproduce.variational import pictures


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_stored_training_on_mnist_begins_as_stored(at_hand):
    """The first thirty rounds of Example 68.6, and what the test images score."""
    at_hand("mnist")
    stored, data = reproduce.stored("gan_mnist"), adversarial_training.mnist_from_minus_one()
    with adversarial_training._float32_on_one_thread():
        assert adversarial_training.start(data.X) == pytest.approx(stored["start"], abs=0.01)
    real = adversarial_training._rounded(verdict(data.X_test[:1000], data.X, data.y))
    assert real["shares"] == pytest.approx(stored["real"]["shares"], abs=0.003)
    for name in ("entropy", "agreed", "spacing"):
        assert real[name] == pytest.approx(stored["real"][name], abs=0.003)


@pytest.mark.parametrize("name", ["gan_mnist", "gan_remedies"])
def test_experiment_is_taken_up_again_and_whole(at_hand, tmp_path: Path, name: str, monkeypatch):
    """A short one; it goes on from the states that a stopped run leaves, and leaves no file at its end."""
    at_hand("mnist")
    monkeypatch.setattr(
        adversarial_training,
        "REMEDIES",
        {key: adversarial_training.REMEDIES[key] for key in ("as in the text", "K_d = 2")},
    )
    options = {"gan_mnist": {"epochs": (1, 2)}, "gan_remedies": {"seeds": 1, "epochs": 1}}[name]
    experiment = getattr(adversarial_training, name)
    train, calls = adversarial_training.train_gan, []

    def stopped_once(*arguments, **settings):
        calls.append(settings)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(*arguments, **settings)

    whole = experiment(images=256, samples=100, **options)
    assert list(tmp_path.iterdir()) == []
    if name == "gan_mnist":
        monkeypatch.setattr(adversarial_training, "train_gan", stopped_once)
        with pytest.raises(KeyboardInterrupt):
            experiment(images=256, samples=100, **options)
        assert list(tmp_path.iterdir())
        assert experiment(images=256, samples=100, **options) == whole
        assert list(tmp_path.iterdir()) == []
        assert pictures(whole["figure"]).shape == pictures(whole["sheet"]).shape == (100, 28, 28)
    else:
        assert set(whole["entropy"]) == {"as in the text", "K_d = 2"}
        assert pictures(whole["pictures"]["K_d = 2"]).shape == (10, 28, 28)
    assert whole.keys() == reproduce.stored(name).keys()


def test_stored_worlds_are_reproduced():
    """One seed on the ring: the good training finds its bumps, a generator ten times as quick does not."""
    stored = reproduce.stored("gan_worlds")
    with adversarial_training._float64_on_one_thread():
        good, heap = (adversarial_training.score(plan, 0) for plan in ("ring", "ring, K_g = 10"))
    assert good.modes == stored["modes"]["ring"][0]
    assert good.good == pytest.approx(stored["good"]["ring"][0], abs=0.1)
    assert heap.modes <= 2 and max(stored["modes"]["ring, K_g = 10"]) <= 2
    assert set(stored["modes"]) == set(adversarial_training.PLANS)


def test_stored_remedies_are_all_there():
    stored = reproduce.stored("gan_remedies")
    for key in ("entropy", "agreed", "spacing", "least"):
        assert set(stored[key]) == set(adversarial_training.REMEDIES)
        assert all(len(values) == 2 for values in stored[key].values())
    assert all(0 <= value <= np.log(10) for values in stored["entropy"].values() for value in values)


def toy(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return 600 labelled points in ten round classes."""
    y = np.arange(600) % 10
    return 10 * np.eye(10)[y] + rng.normal(size=(600, 10)), y


def test_verdict_on_real_and_on_collapsed_images():
    rng = np.random.default_rng(0)
    real, y = toy(rng)
    new, _ = toy(rng)
    good = verdict(new, real, y)
    assert good.shares == pytest.approx(np.full(10, 0.1)) and good.entropy == pytest.approx(np.log(10))
    assert good.agreed == 1 and good.spacing == pytest.approx(1, abs=0.1)
    two = verdict(np.concatenate([new[:10:10], new[1:10:10]]).repeat(50, axis=0), real, y)
    assert two.shares[:2].tolist() == [0.5, 0.5] and two.entropy == pytest.approx(np.log(2))
    assert two.spacing == pytest.approx(0, abs=1e-5)
    between = verdict((real[:500] + real[1:501]) / 2, real, y)
    assert between.agreed < 0.8
    assert isinstance(good, Verdict)


@pytest.mark.parametrize(
    "images", [np.zeros((10, 9)), np.zeros((1, 10)), np.zeros((700, 10)), np.zeros((5, 5, 2))]
)
def test_verdict_refuses_what_does_not_fit(images: np.ndarray):
    real, y = toy(np.random.default_rng(1))
    with pytest.raises(ValueError, match="Flatten them first"):
        verdict(images, real, y)
