"""Rows to one row."""

from .mean import Mean
from .median import Median

__all__ = ["Mean", "Median"]
