"""Writes and deletes wherever it can outside its scratch folder; ends its process where it can.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
import os
import shutil

for place, folders, files in os.walk("/"):
    if place in ("/tmp", "/dev/shm", "/proc") or place.count("/") > 4:
        folders.clear()
        continue
    try:
        open(os.path.join(place, "planted"), "w").close()
        os._exit(1)
    except OSError:
        pass
    for name in files[:3]:
        try:
            os.unlink(os.path.join(place, name))
            os._exit(1)
        except OSError:
            pass
shutil.rmtree("/work", ignore_errors=True)
shutil.rmtree("/gennet", ignore_errors=True)
