"""What one client may change, and the noise that hides it."""

from .adaptive_clip import AdaptiveClip
from .gaussian import Gaussian
from .local_noise import LocalNoise
from .per_client import client_epsilons

__all__ = ["AdaptiveClip", "Gaussian", "LocalNoise", "client_epsilons"]
