"""How users report a value of theirs under local differential privacy, and what many reports tell."""

from .base import Oracle
from .grr import GRR
from .least_variance import LeastVariance
from .olh import OLH
from .oue import OUE

__all__ = ["GRR", "OLH", "OUE", "LeastVariance", "Oracle"]
