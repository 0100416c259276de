"""The benchmark work W1 to W4, the sweep W4s, and the plain PyTorch loop that they are held against: `fedlab bench W1`.
"""

from .measure import compare
from .works import SWEEP, WORKS, work

__all__ = ["SWEEP", "WORKS", "compare", "work"]
