"""What clients start from."""

from .broadcast import Broadcast
from .keep_layers import KeepLayers
from .last_sent import LastSent
from .order import Order
from .own_models import OwnModels

__all__ = ["Broadcast", "KeepLayers", "LastSent", "Order", "OwnModels"]
