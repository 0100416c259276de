"""What clients learn in a round."""

from .adamw import AdamW
from .forward_gradients import ForwardGradients
from .head_then_body import HeadThenBody
from .least_loss import LeastLoss
from .lin_ucb import LinUCB
from .prefix_extension import PrefixExtension
from .private_sgd import PrivateSGD
from .rank_sgd import RankSGD
from .seeded_steps import SeededSteps
from .sgd import SGD
from .streaming import Streaming

__all__ = ["SGD", "AdamW", "ForwardGradients", "HeadThenBody", "LeastLoss", "LinUCB", "PrefixExtension",
           "PrivateSGD", "RankSGD", "SeededSteps", "Streaming"]
