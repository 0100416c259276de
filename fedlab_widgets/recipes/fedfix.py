"""Rounds at fixed times: whoever has finished counts, by how seldom it comes. 80 rounds are 40 units of the slowest."""

from ..aggregate import Mean
from ..distribute import LastSent
from ..local import SGD
from ..nets import MLP
from ..partition import Dirichlet
from ..schedule import FixedTick
from ..tasks import Digits
from .book import enter

fedfix = enter(
    "fedfix", "clients of different speeds: a round at fixed times, of whoever has finished since the last",
    "Fraboni et al., A General Theory for Federated Optimization with Asynchronous and Heterogeneous Clients Updates, "
    "JMLR 24, 2023 (arXiv 2206.10189)",
    task=Digits(), partition=Dirichlet(clients=20, alpha=0.3), net=MLP(hidden=(64,)),
    schedule=FixedTick(every=0.5, spread=0.8), distribute=LastSent(), local=SGD(lr=0.1, steps=5, batch=16),
    aggregate=Mean(weights="uniform", denominator="expected"), rounds=80,
)
