"""Uses the notebook's own commands, which have no meaning here: they do nothing, the answers count.

answers: right
expected: passed
"""

# ruff: noqa

# %% first
get_ipython().run_line_magic("matplotlib", "inline")
get_ipython().system("touch /tmp/x")
from gennet import plots, widgets
from gennet.exercises import check, failed_input, hint, summary

hint("E1")
check("E1", None)
