from ..aggregate import FLTrust
from ..partition import IID
from .book import enter

fltrust = enter(
    "fltrust", "believe clients as far as they agree with a trusted one, however many lie",
    "Cao et al., FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, NDSS 2021",
    partition=IID(clients=10),   # the trusted client stands for all, so it should know of all
    aggregate=FLTrust(trusted=0),
)
