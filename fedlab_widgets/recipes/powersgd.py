from ..encode import LowRank
from .book import enter

powersgd = enter(
    "powersgd", "weight matrices as products of two thin ones, with error feedback; each client's for itself",
    "Vogels et al., PowerSGD: Practical Low-Rank Gradient Compression for Distributed Optimization, "
    "NeurIPS 2019 (arXiv 1905.13727)",
    encode=LowRank(rank=2),
)
