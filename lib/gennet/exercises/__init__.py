"""Exercises that answer back: `check` an answer, ask for a `hint`, see a `summary`.

An answer is compared with stored public cases; no reference answer is in a student's hands. How an exercise is
declared, and how the stored cases are made from a declaration, is in `gennet.exercises.declare`. Marking what
students hand in is no part of this.
"""

import textwrap
import time
from collections.abc import Callable
from typing import Any

from . import progress
from .answers import fresh
from .diagnosis import LIMIT, WIDTH, diagnose
from .stored import Question, StoredExercise, StoredSet, all_sets

__all__ = ["check", "failed_input", "hint", "summary"]

_failed: dict[str, dict[str, Any]] = {}  # the input on which an exercise failed last
_hints_given: dict[tuple[str, str], int] = {}
