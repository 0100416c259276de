from ..aggregate import Bulyan
from ..partition import ByGroup
from .book import enter

bulyan = enter(
    "bulyan", "krum, again and again, then a trimmed mean: against lies in few weights; four of twenty may lie",
    "El Mhamdi et al., The Hidden Vulnerability of Distributed Learning in Byzantium, ICML 2018",
    partition=ByGroup(clients=20),
    aggregate=Bulyan(f=4),
)
