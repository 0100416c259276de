"""Remedies against disparity between groups, on the two clients whose sexes are mixed unevenly (`pid-sex-skew`).

All have the same training: 60 rounds of 50 steps, since slopes that are asked for once a round (`pid-steered`) hold for
some steps, not for epochs.
"""

from ..fairness import FairWeights, ParityPenalty, Reweigh, Steer
from ..local import SGD
from ..partition import ByGroup
from .book import enter

COMMON = {"partition": ByGroup(clients=2, skew=0.92), "local": SGD(lr=0.1, steps=50, batch=128), "rounds": 60}

parity_penalty = enter(
    "parity-penalty", "every client punishes answers that differ between its groups",
    "standard; see the note on experiment B of Hamman & Dutta, ICLR 2024 (arXiv 2307.11333)",
    fairness=(ParityPenalty(weight=2.0),), **COMMON,
)

reweighing = enter(
    "reweighing", "rare combinations of group and label count more",
    "Kamiran & Calders, Data preprocessing techniques for classification without discrimination, KAIS 2012",
    fairness=(Reweigh(),), **COMMON,
)

fairfed = enter(
    "fairfed", "clients count by how close their gap is to everybody's, and reweigh their own rows",
    "Ezzeldin et al., FairFed: Enabling Group Fairness in Federated Learning, AAAI 2023",
    fairness=(FairWeights(), Reweigh(scope="local")), **COMMON,
)

pid_steered = enter(
    "pid-steered", "a knob each for unique, redundant and masked disparity, by slopes asked for before each round",
    "ours; the decomposition is that of Hamman & Dutta, ICLR 2024 (arXiv 2307.11333)",
    fairness=(Steer(unique=3.0, redundant=3.0, masked=3.0),), **COMMON,
)
