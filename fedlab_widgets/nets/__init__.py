"""What learns: a net is a part that builds a torch module."""

from .branches import Branches
from .cnn import CNN
from .linear_statistics import LinearStatistics
from .logistic import Logistic
from .mlp import MLP
from .prefix_tree import PrefixTree
from .super_mask import SuperMask
from .transformer import CharTransformer
from .warm_start import WarmStart
from .xavier import Xavier

__all__ = ["CNN", "MLP", "Branches", "CharTransformer", "LinearStatistics", "Logistic", "PrefixTree", "SuperMask",
           "WarmStart", "Xavier"]
