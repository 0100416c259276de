from ..correct import Proximal
from ..local import SGD
from .book import enter

fedprox = enter(
    "fedprox", "FedAvg with a pull back to where the round began, for clients that disagree",
    "Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020 (arXiv 1812.06127)",
    local=SGD(correct=(Proximal(mu=0.01),)),
)
