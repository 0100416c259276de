from ..aggregate import MajoritySign
from ..local import SGD
from .book import enter

signsgd_majority = enter(
    "signsgd-majority", "every client votes on the direction of every weight; fewer than half may lie",
    "Bernstein et al., signSGD with Majority Vote is Communication Efficient and Fault Tolerant, ICLR 2019",
    local=SGD(steps=1, batch=512),
    aggregate=MajoritySign(step=0.01),
)
