from ..aggregate import TrimmedMean
from .book import enter

trimmed_mean = enter(
    "trimmed-mean", "average every weight without its largest and smallest values; two of ten clients may lie",
    "Yin et al., Byzantine-Robust Distributed Learning, ICML 2018 (arXiv 1803.01498)",
    aggregate=TrimmedMean(f=2),
)
