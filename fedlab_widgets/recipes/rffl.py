"""Who brings more gets more: five honest clients of sizes 16 : 1, and one that sends noise for the others' work."""

from ..aggregate import Mean, Reputation
from ..attack import FreeRider
from ..distribute import OwnModels
from ..local import SGD
from ..nets import MLP
from ..partition import Quantity
from ..tasks import Digits
from .book import enter

# clip as in the released code for MNIST; there 0.95 of the old reputation is kept, over 100 rounds.
rffl = enter(
    "rffl", "every client gets back as much as it contributes, by its reputation; who loses that is shut out",
    "Xu & Lyu, A Reputation Mechanism Is All You Need: Collaborative Fairness and Adversarial Robustness in Federated "
    "Learning, FL-ICML 2021 (arXiv 2011.10464)",
    task=Digits(), partition=Quantity(clients=6, power=2.0, min_rows=20), net=MLP(hidden=(64,)),
    distribute=OwnModels(begin="common"), local=SGD(lr=0.1, epochs=2, batch=16),
    attack=FreeRider(liars=(5,), size=1.0),
    aggregate=Reputation(then=Mean(weights="samples"), alpha=0.8, patience=10, clip=0.5, reward=True), rounds=40,
)
