"""The stored results of chapter 06 are what its experiments give, where the data are at hand.

The trainings are in float32, where two machines agree to few digits after some hundred steps; so means over
images are compared, with margins of several times what another seed changes.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from gennet import reproduce
from gennet.reproduce import variational
from gennet.training import train_vae


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_stored_batches_are_reproduced(at_hand):
    """The first two passes with B = 100, by plain steps and by Adam."""
    at_hand("mnist")
    stored, now = reproduce.stored("vae_batches"), variational.vae_batches(passes={100: 2})
    for name in ("B = 100", "Adam, B = 100"):
        np.testing.assert_allclose(now["error"][name][0], stored["error"][name][0], atol=0.002)
        np.testing.assert_allclose(now["error"][name], stored["error"][name][:3], atol=0.5)
        np.testing.assert_allclose(now["divergence"][name], stored["divergence"][name][:3], atol=0.2)


def test_stored_first_weights_are_reproduced(at_hand):
    """One seed: PyTorch's own first weights leave the latents unused, the others do not."""
    at_hand("mnist")
    stored, now = reproduce.stored("vae_first_weights"), variational.vae_first_weights(seeds=1)
    for name, values in now["divergence"].items():
        assert abs(values[0] - stored["divergence"][name][0]) < 0.3
        assert abs(now["error"][name][0] - stored["error"][name][0]) < 1.0
    np.testing.assert_allclose(now["eigenvalues"], stored["eigenvalues"], atol=0.002)


def test_stored_training_on_mnist_begins_as_stored(at_hand):
    at_hand("mnist")
    stored, data = reproduce.stored("vae_mnist"), variational.centred_mnist()
    assert stored["energy"] == pytest.approx((data.X_test**2).sum(dim=1).mean().item(), abs=0.01)
    torch.set_num_threads(1)
    model = variational.of_the_example(0)
    (bound,) = train_vae(model, data.X, epochs=1, batch=100, rho=1e-4, seed=0)
    assert bound == pytest.approx(stored["bound"][0][0], abs=0.5)
    assert all(np.diff(np.mean(stored["bound"], axis=0)) > 0)


def test_experiment_on_mnist_is_taken_up_again_and_whole(at_hand, tmp_path: Path):
    """A short one; the state that a stopped run would leave is used, and no file is left at the end."""
    at_hand("mnist")
    whole = variational.vae_mnist(seeds=1, epochs=2, images=1000)
    assert list(tmp_path.iterdir()) == []
    data = variational.centred_mnist(1000)
    with variational._state_files("vae_mnist", 1) as (file,):
        torch.set_num_threads(1)
        train_vae(
            variational.of_the_example(0), data.X, epochs=1, batch=100, rho=1e-4, seed=0, checkpoint=file
        )
        assert variational.vae_mnist(seeds=1, epochs=2, images=1000) == whole
    assert variational.pictures(whole["sheet"]).shape == (144, 28, 28)
    assert np.array(whole["plane"]).shape == (1000, 2) and len(whole["labels"]) == 1000
    assert whole.keys() == reproduce.stored("vae_mnist").keys()


def test_pictures_survive_being_written():
    images = torch.rand(5, 16, generator=torch.Generator().manual_seed(0))
    back = variational.pictures(variational._as_hex(1.4 * images - 0.2), side=4)
    assert back.shape == (5, 4, 4)
    assert np.abs(back.reshape(5, 16) - (1.4 * images - 0.2).clamp(0, 1).numpy()).max() <= 0.5 / 15 + 1e-6
