"""Who holds which rows of the data, decided once."""

from .by_group import ByGroup
from .dirichlet import Dirichlet
from .iid import IID
from .masked import Masked
from .natural import Natural
from .reuse import Reuse

__all__ = ["ByGroup", "Dirichlet", "IID", "Masked", "Natural", "Reuse"]
