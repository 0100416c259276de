"""What is learned: data sets and their loss."""

from .arrays import Arrays, from_arrays
from .shipped import Adult, Digits, Mnist

__all__ = ["Adult", "Arrays", "Digits", "Mnist", "from_arrays"]
