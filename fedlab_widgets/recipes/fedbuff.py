"""A round of every five reports, as they come; late ones count less, by the discount of the paper's released code."""

from ..aggregate import Mean
from ..distribute import LastSent
from ..local import SGD
from ..nets import MLP
from ..partition import Dirichlet
from ..schedule import Buffer
from ..tasks import Digits
from .book import enter

fedbuff = enter(
    "fedbuff", "clients of different speeds: a round as soon as a few reports have come, late ones discounted",
    "Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022 (arXiv 2106.06639)",
    task=Digits(), partition=Dirichlet(clients=20, alpha=0.3), net=MLP(hidden=(64,)),
    schedule=Buffer(size=5, spread=0.8, weights="identical", staleness=0.5), distribute=LastSent(),
    local=SGD(lr=0.1, steps=5, batch=16), aggregate=Mean(weights="uniform", denominator="expected"), rounds=300,
)
