from ..aggregate import Mean
from ..local import SGD
from ..partition import ByGroup
from ..privatise import Gaussian
from ..schedule import Lockstep, Poisson
from .book import enter

dp_fedavg = enter(
    "dp-fedavg", "FedAvg with user-level differential privacy from a trusted server",
    "McMahan et al., Learning Differentially Private Recurrent Language Models, ICLR 2018 (arXiv 1710.06963)",
    partition=ByGroup(clients=1000),
    schedule=Lockstep(sampler=Poisson(q=0.1)),
    local=SGD(lr=0.1, epochs=2, batch=8),
    privatise=Gaussian(clip=0.5, noise_multiplier=1.0),
    aggregate=Mean(weights="uniform", denominator="expected"),
)
