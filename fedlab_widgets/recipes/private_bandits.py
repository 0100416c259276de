"""Choosing for users whom nobody may learn about: linear bandits in silos, with noise behind a shuffler.

With local.privacy "none" or "silo", or another local.epsilon, the same experiment makes the paper's comparison. At
laptop scale; in the paper 100 silos of 10,000 users, 100 arms, dimension 10.
"""

from ..aggregate import Mean
from ..evaluate import Accuracy
from ..local import LinUCB
from ..nets import LinearStatistics
from ..partition import Natural
from ..spec import Evaluation
from ..tasks import LinearBandit
from .book import enter

private_bandits = enter(
    "private-bandits", "silos learn together which arm suits which user, and no user can be read off what they send",
    "Zhou & Chowdhury, On Differentially Private Federated Linear Contextual Bandits, ICLR 2024 (arXiv 2302.13945)",
    task=LinearBandit(silos=20, users=2500, arms=20, dimension=5), partition=Natural(), net=LinearStatistics(),
    local=LinUCB(batch=25, privacy="shuffle", epsilon=0.2, delta=0.1), aggregate=Mean(weights="uniform"), rounds=80,
    evaluate=Evaluation(every=4, readings=(Accuracy(),)),
)
