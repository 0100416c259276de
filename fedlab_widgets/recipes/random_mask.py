from ..encode import RandomMask
from .book import enter

random_mask = enter(
    "random-mask", "a random tenth of the entries, whose places follow from a seed; 10 times fewer bytes up",
    "Konečný et al., Federated Learning: Strategies for Improving Communication Efficiency, 2016 (arXiv 1610.05492)",
    encode=RandomMask(fraction=0.1),
)
