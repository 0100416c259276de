from ..server import Adaptive
from .book import enter

fedyogi = enter(
    "fedyogi", "FedAvg whose server takes Yogi steps: like Adam, but it forgets large updates more slowly",
    "Reddi et al., Adaptive Federated Optimization, ICLR 2021 (arXiv 2003.00295)",
    server=Adaptive(rule="yogi", lr=0.01),
)
