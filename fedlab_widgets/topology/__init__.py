"""Who is linked to whom, where there is no server."""

from .base import Topology
from .complete import Complete
from .one_peer import OnePeer
from .regular import Regular
from .ring import Ring

__all__ = ["Complete", "OnePeer", "Regular", "Ring", "Topology"]
