"""What clients learn in a round."""

from .head_then_body import HeadThenBody
from .least_loss import LeastLoss
from .private_sgd import PrivateSGD
from .rank_sgd import RankSGD
from .sgd import SGD

__all__ = ["SGD", "HeadThenBody", "LeastLoss", "PrivateSGD", "RankSGD"]
