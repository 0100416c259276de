"""What learns: a net is a part that builds a torch module."""

from .branches import Branches
from .cnn import CNN
from .logistic import Logistic
from .mlp import MLP
from .super_mask import SuperMask
from .transformer import CharTransformer
from .xavier import Xavier

__all__ = ["CNN", "MLP", "Branches", "CharTransformer", "Logistic", "SuperMask", "Xavier"]
