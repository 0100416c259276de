"""What liars do; `access` says what they must be able to see or change for it."""

from .alie import ALIE
from .backdoor import Backdoor
from .free_rider import FreeRider
from .furthest import MinMax, MinSum
from .gaussian_noise import GaussianNoise
from .inner_product import InnerProduct
from .label_flip import LabelFlip
from .mimic import Mimic
from .reverse_ranks import ReverseRanks
from .scaled import Scaled
from .sign_flip import SignFlip

__all__ = ["ALIE", "Backdoor", "FreeRider", "GaussianNoise", "InnerProduct", "LabelFlip", "Mimic", "MinMax", "MinSum",
           "ReverseRanks", "Scaled", "SignFlip"]
