"""Leaves a thread behind that overwrites every answer with right ones it cannot know.

answers: wrong
expected: wrong
"""

# ruff: noqa

# %% first
import threading
import time


def meddle():
    while True:
        for module in list(__import__("sys").modules.values()):
            for name in ("expected", "reference", "passed"):
                if hasattr(module, name):
                    setattr(module, name, 42)
        time.sleep(0.001)


threading.Thread(target=meddle, daemon=True).start()
