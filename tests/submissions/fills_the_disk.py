"""Writes until nothing more fits, in every place where it may write.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
written = 0
for place in ("/tmp", "/dev/shm"):
    try:
        for number in range(10_000):
            with open(f"{place}/{number}", "wb") as file:
                file.write(bytes(1 << 20))
                written += 1
    except OSError:
        pass
if written > 200:
    __import__("os")._exit(1)
