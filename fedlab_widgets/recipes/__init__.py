"""Published systems as experiments: a named choice of parts, one file a system."""

from . import fedavg, fedsgd, fedprox, scaffold, feddyn, fednova, moon  # noqa: F401, I001  (the order of the menu)
from . import fedavgm, fedadam, fedyogi, fedadagrad, dp_fedavg, dp_adaptive, dp_sgd_local, local_dp, baselines  # noqa: F401, I001
from . import pid_splits, pid_synthetic, pid_synthetic_splits, remedies  # noqa: F401
from . import krum, trimmed_mean, geometric_median, bulyan, centred_clipping, norm_clipping  # noqa: F401, I001
from . import foolsgold, fltrust, signsgd_majority  # noqa: F401
from . import qsgd, fedpaq, signsgd_ef, powersgd, random_mask, drive  # noqa: F401, I001
from . import attacks, personal, ifca, austen  # noqa: F401
from . import frl, rffl, fedfix, fedbuff, fedasync, gossip, fedcac, dp_ftrl  # noqa: F401, I001
from . import fedkseed, ferret, one_byte, diloco, heavy_hitters, private_bandits  # noqa: F401, I001
from . import compositions  # noqa: F401  (of the recipes above)
from .book import BOOK, Recipe, recipe

__all__ = ["BOOK", "Recipe", "recipe"]
