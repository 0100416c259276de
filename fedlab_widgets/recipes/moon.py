from ..correct import Contrastive
from ..local import SGD
from .book import enter

moon = enter(
    "moon", "what clients see in a row stays near to what the global model sees, away from their own last model",
    "Li et al., Model-Contrastive Federated Learning, CVPR 2021 (arXiv 2103.16257)",
    local=SGD(correct=(Contrastive(mu=1.0, temperature=0.5),)),
)
