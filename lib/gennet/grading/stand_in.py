"""What a notebook finds in a sandbox under the name of `gennet.exercises`: the same names, and no feedback.

Cells that ask for a check, a hint or a summary run as they stand and say nothing; the grader asks the answers
itself. Nothing is kept of what a notebook does here.
"""

from typing import Any

__all__ = ["check", "failed_input", "hint", "summary"]


def check(*_: Any) -> None:
    """Do nothing."""


def hint(*_: Any) -> None:
    """Do nothing."""


def summary(*_: Any) -> None:
    """Do nothing."""


def failed_input(*_: Any) -> Any:
    """Raise: nothing is checked here."""
    raise LookupError("failed_input: nothing is checked while a notebook is graded.")
