"""Rows to one row."""

from .bucketing import Bucketing
from .bulyan import Bulyan
from .by_branch import ByBranch
from .centred_clipping import CentredClipping
from .collaborators import Collaborators
from .fltrust import FLTrust
from .fools_gold import FoolsGold
from .geometric_median import GeometricMedian
from .gossip import Gossip
from .krum import Krum
from .majority_sign import MajoritySign
from .mean import Mean
from .median import Median
from .nearest_neighbour_mixing import NearestNeighbourMixing
from .norm_clipping import NormClipping
from .reputation import Reputation
from .sum_by_item import SumByItem
from .trimmed_mean import TrimmedMean

__all__ = ["Bucketing", "Bulyan", "ByBranch", "CentredClipping", "Collaborators", "FLTrust", "FoolsGold",
           "GeometricMedian", "Gossip", "Krum", "MajoritySign", "Mean", "Median", "NearestNeighbourMixing",
           "NormClipping", "Reputation", "SumByItem", "TrimmedMean"]
