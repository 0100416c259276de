"""What really goes out on the wire."""

from .drive import Drive
from .float4 import Float4
from .float16 import Float16
from .log_byte import LogByte
from .low_rank import LowRank
from .nonzero import Nonzero
from .one_branch import OneBranch
from .quantise import Quantise
from .random_mask import RandomMask
from .seeded_projection import SeededProjection
from .sign import Sign
from .top_k import TopK
from .update import Update

__all__ = ["Drive", "Float16", "Float4", "LogByte", "LowRank", "Nonzero", "OneBranch", "Quantise", "RandomMask",
           "SeededProjection", "Sign", "TopK", "Update"]
