"""Published systems as experiments: a named choice of parts, one file a system."""

from . import fedavg, fedprox, scaffold, fedadam, dp_fedavg, baselines  # noqa: F401, I001  (the order of the menu)
from . import pid_splits, pid_synthetic  # noqa: F401
from .book import BOOK, Recipe, recipe

__all__ = ["BOOK", "Recipe", "recipe"]
