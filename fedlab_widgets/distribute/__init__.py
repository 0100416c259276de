"""What clients start from."""

from .broadcast import Broadcast
from .changes import Changes
from .keep_layers import KeepLayers
from .last_sent import LastSent
from .order import Order
from .own_models import OwnModels
from .rebuilt import Rebuilt
from .relayed import Relayed
from .survivors import Survivors

__all__ = ["Broadcast", "Changes", "KeepLayers", "LastSent", "Order", "OwnModels", "Rebuilt", "Relayed", "Survivors"]
