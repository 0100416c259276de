"""Models of the clients' own, beside the one that is trained together; they go into `personalise`."""

from .fine_tune import FineTune
from .mixture import Mixture
from .own_model import OwnModel

__all__ = ["FineTune", "Mixture", "OwnModel"]
