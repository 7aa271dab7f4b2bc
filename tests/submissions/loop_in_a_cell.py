"""Has a scratch cell that never ends, among right answers: the cell is stopped, the answers count.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
while True:
    pass
