from ..aggregate import Krum
from .book import enter

krum = enter(
    "krum", "keep one client's update, the nearest to its neighbours; two of ten may lie",
    "Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017",
    aggregate=Krum(f=2),
)

multi_krum = enter(
    "multi-krum", "average the updates that lie nearest to their neighbours; steadier than krum; two of ten may lie",
    "Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017",
    aggregate=Krum(f=2, select=6),
)
