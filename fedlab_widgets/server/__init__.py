"""The new model."""

from .adaptive import Adaptive
from .apply import Apply

__all__ = ["Adaptive", "Apply"]
