"""The examples in the library's docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import gennet

MODULES = [module.name for module in pkgutil.walk_packages(gennet.__path__, "gennet.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(name: str):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed


def test_examples_are_found():
    examples = [
        example
        for name in MODULES
        if not name.endswith("__main__")
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(examples) > 10
