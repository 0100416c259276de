from ..local import PrivateSGD
from ..partition import Quantity
from .book import enter

dp_sgd_local = enter(
    "dp-sgd-local", "FedAvg with DP-SGD at each client: hides single rows, from the server too; small clients pay more",
    "Abadi et al., Deep Learning with Differential Privacy, CCS 2016 (arXiv 1607.00133)",
    partition=Quantity(clients=50),
    local=PrivateSGD(lr=0.2, steps=20, batch=64, noise_multiplier=1.0),
)
