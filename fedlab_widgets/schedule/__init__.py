"""Who takes part, from which version of the model, at what virtual time."""

from .lockstep import Lockstep
from .samplers import Fixed, Full, Poisson

__all__ = ["Fixed", "Full", "Lockstep", "Poisson"]
