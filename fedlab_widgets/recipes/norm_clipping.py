from ..aggregate import NormClipping
from .book import enter

norm_clipping = enter(
    "norm-clipping", "shorten updates longer than the median one, then average: against lies that shout",
    "Sun et al., Can You Really Backdoor Federated Learning?, 2019 (arXiv 1911.07963)",
    aggregate=NormClipping(),
)
