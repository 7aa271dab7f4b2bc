"""Looks for solutions, seeds, gradebooks and other people's files; ends its process if it finds any.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import os
from pathlib import Path

SECRETS = ("01_eigenspace_coding", "secret-seed", "gradebook", "autograded", ".ssh", "shadow", "passwd")
for place, folders, files in os.walk("/"):
    if place.startswith(("/proc", "/usr", "/sbin", "/bin")) or "site-packages/" in place:
        folders.clear()
    if any(name.startswith(SECRETS) for name in folders + files):
        os._exit(1)
if any(name.isdigit() and int(name) != os.getpid() for name in os.listdir("/proc")):
    os._exit(1)
if "GENNET_TEST_SECRET" in os.environ:
    os._exit(1)
