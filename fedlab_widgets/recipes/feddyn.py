from ..aggregate import Mean
from ..correct import DynamicRegulariser
from ..local import SGD
from .book import enter

feddyn = enter(
    "feddyn", "clients' losses are tilted until all agree where the slope of the whole is zero; no more bytes",
    "Acar et al., Federated Learning Based on Dynamic Regularization, ICLR 2021 (arXiv 2111.04263)",
    local=SGD(correct=(DynamicRegulariser(alpha=0.1),)),
    aggregate=Mean(weights="uniform"),
)
