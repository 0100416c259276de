"""What clients start from."""

from .broadcast import Broadcast
from .keep_layers import KeepLayers

__all__ = ["Broadcast", "KeepLayers"]
