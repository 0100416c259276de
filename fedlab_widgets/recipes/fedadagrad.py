from ..server import Adaptive
from .book import enter

fedadagrad = enter(
    "fedadagrad", "FedAvg whose server takes Adagrad steps, which get shorter and shorter",
    "Reddi et al., Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295)",
    server=Adaptive(rule="adagrad", lr=0.1, beta1=0.0),
)
