"""What is learned: data sets and their loss."""

from .arrays import Arrays, from_arrays
from .austen import Austen
from .frame import from_file, from_frame
from .items import Items
from .linear_bandit import LinearBandit
from .shipped import Adult, Digits, Mnist
from .synthetic import TwoGaussians

__all__ = ["Adult", "Arrays", "Austen", "Digits", "Items", "LinearBandit", "Mnist", "TwoGaussians", "from_arrays",
           "from_file", "from_frame"]
