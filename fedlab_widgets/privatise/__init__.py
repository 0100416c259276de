"""What one client may change, and the noise that hides it."""

from .gaussian import Gaussian

__all__ = ["Gaussian"]
