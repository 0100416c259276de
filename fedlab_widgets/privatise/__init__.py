"""What one client may change, and the noise that hides it."""

from .adaptive_clip import AdaptiveClip
from .continual import max_sum_by_trees, max_sum_recomputed, prefix_sums
from .correlated_noise import CorrelatedNoise
from .gaussian import Gaussian
from .local_noise import LocalNoise
from .participation import verify_participation
from .per_client import client_epsilons

__all__ = ["AdaptiveClip", "CorrelatedNoise", "Gaussian", "LocalNoise", "client_epsilons", "max_sum_by_trees",
           "max_sum_recomputed", "prefix_sums", "verify_participation"]
