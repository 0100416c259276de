"""The new model."""

from .adaptive import Adaptive
from .apply import Apply
from .momentum import Momentum

__all__ = ["Adaptive", "Apply", "Momentum"]
