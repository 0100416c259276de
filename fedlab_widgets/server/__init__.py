"""The new model."""

from .adaptive import Adaptive
from .apply import Apply
from .by_rank import ScoresByRank
from .momentum import Momentum

__all__ = ["Adaptive", "Apply", "Momentum", "ScoresByRank"]
