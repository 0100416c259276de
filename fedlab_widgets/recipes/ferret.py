"""First-order steps, and coefficients of random directions on the wire: digits, from a start that stands for a trained
net. With `--set distribute=broadcast` clients are sent the model instead of the messages of the others."""

from ..aggregate import Mean
from ..distribute import Relayed
from ..encode import SeededProjection
from ..local import SGD
from ..nets import MLP, WarmStart
from ..partition import Dirichlet
from ..schedule import Fixed, Lockstep
from ..tasks import Digits
from .book import enter

ferret = enter(
    "ferret", "clients train as usual and send a seed and 256 coefficients, whatever the size of the net",
    "Shu et al., Ferret: Federated Full-Parameter Tuning at Scale for Large Language Models, ICML 2025 (arXiv "
    "2409.06277)",
    task=Digits(), partition=Dirichlet(clients=20, alpha=0.5), net=WarmStart(of=MLP(hidden=(64,)), rows=50),
    schedule=Lockstep(sampler=Fixed(m=5)), distribute=Relayed(), local=SGD(lr=0.1, steps=10, batch=32),
    encode=SeededProjection(count=256), aggregate=Mean(weights="uniform"), rounds=40,
)
