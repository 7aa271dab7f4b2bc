"""The stored results of full-size experiments are what the experiments give, where their data are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from gennet import datasets, reproduce
from gennet.datasets import download

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ROOT.parent / "shared/data"


@pytest.fixture
def olivetti(monkeypatch: pytest.MonkeyPatch) -> None:
    if BESIDE.is_dir():
        monkeypatch.setenv("GENNET_DATA", str(BESIDE))
    if download.status(datasets.card("olivetti")) != "yes":
        pytest.skip("the Olivetti faces are not at hand: python -m gennet data olivetti")


def test_stored_eigenspace_result_is_reproduced(olivetti: None):
    stored, now = reproduce.stored("eigenspace_olivetti"), reproduce.eigenspace_olivetti()
    assert now["lengths"] == stored["lengths"]
    for part in ("error", "spread"):
        for group, values in stored[part].items():
            np.testing.assert_allclose(now[part][group], values, atol=2e-5)  # stored with five digits


def test_stored_recognition_result_is_reproduced(olivetti: None):
    """One division of the five; a picture on the border between two people may fall to the other side."""
    stored, now = reproduce.stored("face_space_olivetti"), reproduce.face_space_olivetti(divisions=1)
    for name, values in now.items():
        if ", " in name:
            np.testing.assert_allclose(values, stored[name][:1], atol=0.011)
        else:
            assert values == stored[name]


def test_stored_detection_result_is_reproduced(monkeypatch: pytest.MonkeyPatch):
    """One division of the five; another decoder of JPEG may shift a few false alarms."""
    if BESIDE.is_dir():
        monkeypatch.setenv("GENNET_DATA", str(BESIDE))
    if not (download.folder() / "photos/apollo11_crew_nasa.jpg").exists():
        pytest.skip("the portraits are not at hand: put them into the folder photos of the data folder")
    stored, now = reproduce.stored("face_space_portraits"), reproduce.face_space_portraits(divisions=1)
    for name in ("windows", "faces", "rate", "components", "cascade"):
        assert now[name] == stored[name]
    for D in range(len(now["components"])):
        assert now["found"][D] == stored["found"][D][:1]
        np.testing.assert_allclose(now["false_alarms"][D], stored["false_alarms"][D][:1], rtol=0.02)
        np.testing.assert_allclose(now["before"][D], stored["before"][D][:1], rtol=0.05, atol=2)


@pytest.mark.parametrize("name", reproduce.EXPERIMENTS)
def test_every_experiment_has_a_result(name: str):
    assert reproduce.stored(name)


def test_unknown_experiment_is_refused_in_words(capsys: pytest.CaptureFixture):
    with pytest.raises(ValueError, match="no experiment 'eigenfaces'; there are: eigenspace_olivetti"):
        reproduce.stored("eigenfaces")
    assert reproduce.main(["eigenfaces"]) == 2
    assert "There is no experiment 'eigenfaces'" in capsys.readouterr().err


def test_command_writes_the_result_whole(monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture):
    monkeypatch.setitem(reproduce.EXPERIMENTS, "eigenspace_olivetti", lambda: {"error": [1.0, 0.5]})
    monkeypatch.setattr(reproduce, "shipped", lambda name: tmp_path / name)
    assert reproduce.main(["eigenspace_olivetti"]) == 0
    assert json.loads((tmp_path / "results/eigenspace_olivetti.json").read_text()) == {"error": [1.0, 0.5]}
    assert [file.name for file in (tmp_path / "results").iterdir()] == ["eigenspace_olivetti.json"]


def test_missing_data_are_said_in_a_sentence(monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture):
    def missing() -> dict:
        raise datasets.DataError("olivetti: put olivettifaces.mat there.")

    monkeypatch.setitem(reproduce.EXPERIMENTS, "eigenspace_olivetti", missing)
    monkeypatch.setattr(reproduce, "shipped", lambda name: tmp_path / name)
    assert reproduce.main([]) == 1
    assert capsys.readouterr().err == "olivetti: put olivettifaces.mat there.\n"
