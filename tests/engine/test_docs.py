"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

import fedlab_widgets

MODULES = ["fedlab_widgets", *(m.name for m in pkgutil.walk_packages(fedlab_widgets.__path__, "fedlab_widgets.")
                               if not m.name.endswith("__main__"))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = map(importlib.import_module, MODULES)
    assert sum(len(t.examples) for m in modules for t in finder.find(m, m.__name__)) > 30
