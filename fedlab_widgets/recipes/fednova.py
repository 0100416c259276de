from ..correct import NormaliseSteps
from ..local import SGD
from .book import enter

fednova = enter(
    "fednova", "clients count by their mean step, so that those who take more steps pull no harder; 4 bytes more up",
    "Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, NeurIPS 2020 "
    "(arXiv 2007.07481)",
    local=SGD(correct=(NormaliseSteps(),)),
)
