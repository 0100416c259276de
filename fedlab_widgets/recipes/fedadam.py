from ..server import Adaptive
from .book import enter

fedadam = enter(
    "fedadam", "FedAvg whose server takes Adam steps",
    "Reddi et al., Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295)",
    server=Adaptive(lr=0.01),
)
