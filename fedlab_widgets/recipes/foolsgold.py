from ..aggregate import FoolsGold
from .book import enter

foolsgold = enter(
    "foolsgold", "trust clients less, the more alike they push: against one liar under many names",
    "Fung et al., The Limitations of Federated Learning in Sybil Settings, RAID 2020",
    aggregate=FoolsGold(),
)
