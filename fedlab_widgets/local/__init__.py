"""What clients learn in a round."""

from .sgd import SGD

__all__ = ["SGD"]
