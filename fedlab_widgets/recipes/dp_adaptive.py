from ..aggregate import Mean
from ..local import SGD
from ..partition import ByGroup
from ..privatise import AdaptiveClip
from ..schedule import Lockstep, Poisson
from .book import enter

dp_adaptive = enter(
    "dp-fedavg-adaptive", "DP-FedAvg with a clip that follows the median length of updates: none need be guessed",
    "Andrew et al., Differentially Private Learning with Adaptive Clipping, NeurIPS 2021 (arXiv 1905.03871)",
    partition=ByGroup(clients=1000),
    schedule=Lockstep(sampler=Poisson(q=0.1)),
    local=SGD(lr=0.1, epochs=2, batch=8),
    privatise=AdaptiveClip(start=0.1, noise_multiplier=1.0),
    aggregate=Mean(weights="uniform", denominator="expected"),
)
