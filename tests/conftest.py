"""What all tests share: pictures are compared, and the count of verified equations is reported."""

import os

import pictures  # noqa: F401  (its import makes nbval compare pictures)
import traceability

os.environ["GENNET_HOME"] = "off"  # no test reads or writes anybody's progress


def pytest_terminal_summary(terminalreporter):
    """Report the counts after a run that checked them."""
    done = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    if any("test_traceability.py" in report.nodeid for report in done):
        terminalreporter.write_line(traceability.summary())
