from ..server import Momentum
from .book import enter

fedavgm = enter(
    "fedavgm", "FedAvg whose server keeps going in the direction of earlier rounds",
    "Hsu et al., Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, "
    "2019 (arXiv 1909.06335)",
    server=Momentum(beta=0.9),
)
