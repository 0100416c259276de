"""What really goes out on the wire."""

from .drive import Drive
from .float16 import Float16
from .low_rank import LowRank
from .one_branch import OneBranch
from .quantise import Quantise
from .random_mask import RandomMask
from .sign import Sign
from .top_k import TopK
from .update import Update

__all__ = ["Drive", "Float16", "LowRank", "OneBranch", "Quantise", "RandomMask", "Sign", "TopK", "Update"]
