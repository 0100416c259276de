"""What makes a model fair to groups: penalties, weights of rows and of clients, and what is asked before training."""

from .fair_weights import FairWeights
from .parity_penalty import ParityPenalty
from .reweigh import Reweigh
from .steer import Steer

__all__ = ["FairWeights", "ParityPenalty", "Reweigh", "Steer"]
