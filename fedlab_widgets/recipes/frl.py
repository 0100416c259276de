"""Rankings instead of weights: clients vote on which weights of a fixed random net are used."""

from ..aggregate import Mean
from ..distribute import Order
from ..local import RankSGD
from ..nets import MLP, SuperMask
from ..partition import Dirichlet
from ..server import ScoresByRank
from ..tasks import Digits
from .book import enter

frl = enter(
    "frl", "clients rank the weights of a fixed random net, and the vote keeps half: no client has more than one vote",
    "Mozaffari et al., Every Vote Counts: Ranking-Based Training of Federated Learning to Resist Poisoning Attacks, "
    "USENIX Security 2023 (arXiv 2110.04350)",
    task=Digits(), partition=Dirichlet(clients=20, alpha=1.0), net=SuperMask(of=MLP(hidden=(128, 128)), keep=0.5),
    distribute=Order(), local=RankSGD(schedule="linear", lr_end=0.135),   # 0.999^2000 is where the released code ends
    aggregate=Mean(weights="uniform"), server=ScoresByRank(),
)
