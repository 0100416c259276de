"""Each client its own model: what matters to it from clients alike, the rest from all. Digits, clients in pairs."""

from ..aggregate import Collaborators
from ..correct import Critical
from ..distribute import OwnModels
from ..local import SGD
from ..nets import MLP
from ..partition import Dirichlet
from ..tasks import Digits
from .book import enter

fedcac = enter(
    "fedcac", "every client's critical weights are averaged with clients alike for a while, all others with everybody",
    "Wu et al., Bold but Cautious: Unlocking the Potential of Personalized Federated Learning through Cautiously "
    "Aggressive Collaboration, ICCV 2023 (arXiv 2309.11103)",
    task=Digits(), net=MLP(hidden=(64,)), partition=Dirichlet(clients=10, alpha=0.1, min_rows=40, alike=2),
    distribute=OwnModels(), local=SGD(lr=0.1, momentum=0.9, epochs=5, batch=20, correct=(Critical(tau=0.5),)),
    aggregate=Collaborators(beta=20), rounds=30,
)
