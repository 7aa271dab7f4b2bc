"""Lets the kernel blank all later cells.

answers: wrong
expected: wrong
"""

# ruff: noqa


# %% first
def blank(lines):
    return []


get_ipython().input_transformers_post.append(blank)
get_ipython().input_transformer_manager.line_transforms.append(blank)
