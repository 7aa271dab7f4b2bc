"""Imports the reference answers, wherever they might be.

answers: none
expected: missing function
"""

# ruff: noqa

# %% first
import glob
import importlib.util
import sys
from pathlib import Path

import gennet.exercises
from gennet.exercises import declare, stored

folders = {Path(gennet.exercises.__file__).parents[3], Path.cwd(), *map(Path, sys.path)}
for folder in folders:
    for path in folder.glob("**/solutions/exercises/*.py"):
        spec = importlib.util.spec_from_file_location("reference", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        globals().update(vars(module))

# %% last
for kept in stored.all_sets().values():
    for exercise in kept.exercises:
        for question in exercise.questions:
            globals()[question.name] = lambda *_: question.cases[0].expected
