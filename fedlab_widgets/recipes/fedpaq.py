from ..aggregate import Mean
from ..encode import Quantise
from ..local import SGD
from ..schedule import Fixed, Lockstep
from .book import enter

fedpaq = enter(
    "fedpaq", "half of the clients a round, several local steps, and quantised updates",
    "Reisizadeh et al., FedPAQ: A Communication-Efficient Federated Learning Method with Periodic Averaging and "
    "Quantization, AISTATS 2020 (arXiv 1909.13014)",
    schedule=Lockstep(sampler=Fixed(m=5)),
    local=SGD(steps=10),
    encode=Quantise(levels=5),
    aggregate=Mean(weights="uniform"),
)
