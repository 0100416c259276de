"""The benchmark work W1 to W4, and the plain PyTorch loop that it is held against. `fedlab bench W1`."""

from .measure import compare
from .works import WORKS, work

__all__ = ["WORKS", "compare", "work"]
