"""No server: sixteen clients that mix their models with those of four neighbours.

From starts of their own they lose the scale of their weights at the first mixing, unless it is put back."""

from ..aggregate import Gossip
from ..distribute import OwnModels
from ..encode import Quantise
from ..evaluate import Accuracy
from ..local import SGD
from ..nets import MLP, Xavier
from ..partition import IID
from ..spec import Evaluation
from ..tasks import Digits
from ..topology import Regular
from .book import enter

CORRECTION = ("Tian et al., Vanishing Variance Problem in Fully Decentralized Neural-Network Systems, 2024 (arXiv "
              "2404.04616)")
LINKS = Regular(degree=4)
COMMON = dict(
    task=Digits(), partition=IID(clients=16), net=Xavier(of=MLP(hidden=(128, 128, 128))),
    local=SGD(lr=0.05, epochs=1, batch=16), evaluate=Evaluation(readings=(Accuracy(),)), rounds=60)

gossip = enter(
    "gossip", "no server: each client mixes its model with its neighbours'; from starts of their own it stalls",
    "Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?, NeurIPS 2017 (arXiv 1705.09056)",
    distribute=OwnModels(begin="independent"), aggregate=Gossip(topology=LINKS), **COMMON,
)

common_start = enter(
    "gossip-common-start", "no server: the same with one start for all, as a server would have given them",
    "Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?, NeurIPS 2017 (arXiv 1705.09056)",
    distribute=OwnModels(begin="common"), aggregate=Gossip(topology=LINKS), **COMMON,
)

corrected = enter(
    "gossip-variance-corrected", "no server: after mixing, weights are stretched back to the variance they had",
    CORRECTION, distribute=OwnModels(begin="independent"), aggregate=Gossip(topology=LINKS, variance="all"), **COMMON,
)

quantised = enter(
    "gossip-quantised", "no server, and a quarter of the bytes: links carry eight bits a weight",
    CORRECTION + "; links as in QSGD (Alistarh et al., NeurIPS 2017)",
    distribute=OwnModels(begin="independent"), aggregate=Gossip(topology=LINKS, variance="all"),
    encode=Quantise(levels=127), **COMMON,
)
