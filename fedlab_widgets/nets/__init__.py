"""What learns: a net is a part that builds a torch module."""

from .branches import Branches
from .cnn import CNN
from .logistic import Logistic
from .mlp import MLP
from .transformer import CharTransformer

__all__ = ["CNN", "MLP", "Branches", "CharTransformer", "Logistic"]
