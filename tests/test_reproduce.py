"""The command that stores the results of full-size experiments."""

import json
from pathlib import Path

import pytest

from gennet import datasets, reproduce


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
