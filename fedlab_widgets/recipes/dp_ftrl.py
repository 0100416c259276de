from ..aggregate import Mean
from ..local import SGD
from ..partition import IID
from ..privatise import CorrelatedNoise
from ..schedule import InTurn, Lockstep
from ..server import Momentum
from ..tasks import Digits
from .book import enter

dp_ftrl = enter(
    "dp-ftrl", "client-level privacy without random sampling: noise that is correlated over rounds, clients in turn",
    "Kairouz et al., Practical and Private (Deep) Learning without Sampling or Shuffling, ICML 2021 (arXiv 2103.00039)",
    task=Digits(), partition=IID(clients=200),
    schedule=Lockstep(sampler=InTurn(size=10)),
    local=SGD(lr=0.1, epochs=5, batch=8),
    privatise=CorrelatedNoise(mechanism="sqrt", clip=0.5, noise_multiplier=None, epsilon=8.0),
    aggregate=Mean(weights="uniform", denominator="expected"),
    server=Momentum(lr=0.3, beta=0.9), rounds=40,
)
