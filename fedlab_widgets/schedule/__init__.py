"""Who takes part, from which version of the model, at what virtual time."""

from .buffer import Buffer
from .come_and_go import ComeAndGo
from .fixed_tick import FixedTick
from .lockstep import Lockstep
from .samplers import Fixed, Full, InTurn, Poisson

__all__ = ["Buffer", "ComeAndGo", "Fixed", "FixedTick", "Full", "InTurn", "Lockstep", "Poisson"]
