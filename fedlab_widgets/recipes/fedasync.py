"""A round of every report. N of them make one round's work, and each moves the model on its own: the server takes steps
of about 1 / sqrt(N), or old reports throw the model about (set server.lr to 1 to see it)."""

from ..aggregate import Mean
from ..distribute import LastSent
from ..local import SGD
from ..nets import MLP
from ..partition import Dirichlet
from ..schedule import Buffer
from ..server import Apply
from ..tasks import Digits
from .book import enter

fedasync = enter(
    "fedasync", "clients of different speeds: every report makes a round at once; fast, and easily unstable",
    "Fraboni et al., A General Theory for Federated Optimization with Asynchronous and Heterogeneous Clients Updates, "
    "JMLR 24, 2023 (arXiv 2206.10189), asynchronous FedAvg",
    task=Digits(), partition=Dirichlet(clients=20, alpha=0.3), net=MLP(hidden=(64,)),
    schedule=Buffer(size=1, spread=0.8), distribute=LastSent(), local=SGD(lr=0.05, steps=5, batch=16),
    aggregate=Mean(weights="uniform", denominator="expected"), server=Apply(lr=0.22), rounds=800,
)
