"""Who holds which rows of the data, decided once."""

from .by_group import ByGroup
from .dirichlet import Dirichlet
from .iid import IID
from .masked import Masked
from .natural import Natural
from .noisy import Noisy
from .quantity import Quantity
from .reuse import Reuse
from .rotated import Rotated
from .shards import Shards

__all__ = ["IID", "ByGroup", "Dirichlet", "Masked", "Natural", "Noisy", "Quantity", "Reuse", "Rotated", "Shards"]
