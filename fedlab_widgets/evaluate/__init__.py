"""Readings of the model: each is a function of one table of counts."""

from .accuracy import Accuracy
from .decomposition import Decomposition
from .gaps import Gaps
from .pid import decompose
from .writing import Writing

__all__ = ["Accuracy", "Decomposition", "Gaps", "Writing", "decompose"]
