"""What all tests share: pictures are compared, verified equations are counted, data sets are found."""

import os
from collections.abc import Callable
from pathlib import Path

import pictures  # noqa: F401  (its import makes nbval compare pictures)
import pytest
import traceability

from gennet import datasets
from gennet.datasets import download

os.environ["GENNET_HOME"] = "off"  # no test reads or writes anybody's progress


def pytest_terminal_summary(terminalreporter):
    """Report the counts after a run that checked them."""
    done = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    if any("test_traceability.py" in report.nodeid for report in done):
        terminalreporter.write_line(traceability.summary())


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Skip a test whose data were not downloaded; data that lie beside the repository will do."""
    beside = Path(__file__).resolve().parents[2] / "shared/data"
    if beside.is_dir():
        monkeypatch.setenv("GENNET_DATA", str(beside))

    def require(name: str) -> None:
        if download.status(datasets.card(name)) != "yes":
            pytest.skip(f"{name} is not at hand: python -m gennet data {name}")

    return require
