"""Clusters of clients that find each other: digits turned by quarter turns, and as many models as there are turns."""

from ..aggregate import ByBranch
from ..distribute import KeepLayers
from ..encode import OneBranch
from ..local import LeastLoss
from ..nets import MLP, Branches
from ..partition import IID, Rotated
from ..tasks import Digits
from .book import enter

ifca = enter(
    "ifca", "several models: each client trains the one with the least loss on its rows, each is the mean of its own",
    "Ghosh et al., An Efficient Framework for Clustered Federated Learning, NeurIPS 2020 (arXiv "
    "2006.04088)",
    task=Digits(), partition=Rotated(turns=4, of=IID(clients=20)), net=Branches(of=MLP(hidden=(64,)), k=4),
    distribute=KeepLayers(layers=("choice",)), local=LeastLoss(lr=0.1, epochs=2, batch=16),
    encode=OneBranch(branches=4), aggregate=ByBranch(),
)
