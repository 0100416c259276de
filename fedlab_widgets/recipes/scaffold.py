from ..aggregate import Mean
from ..correct import ControlVariate
from ..local import SGD
from .book import enter

scaffold = enter(
    "scaffold", "FedAvg with control variates against client drift; twice the bytes both ways",
    "Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020",
    local=SGD(correct=(ControlVariate(),)),
    aggregate=Mean(weights="uniform"),
)
