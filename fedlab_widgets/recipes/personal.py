"""Methods that end in a model of each client's own, where clients hold different mixes of digits, or turned ones."""

from ..aggregate import Mean
from ..distribute import KeepLayers
from ..local import SGD, HeadThenBody
from ..nets import CNN, MLP
from ..partition import IID, Dirichlet, Rotated
from ..personalise import FineTune, Mixture, OwnModel
from ..tasks import Digits
from .book import enter

COMMON = {"task": Digits(), "net": MLP(hidden=(64,)), "partition": Dirichlet(clients=20, alpha=0.1, min_rows=10),
          "local": SGD(lr=0.1, epochs=2, batch=16), "aggregate": Mean(weights="samples")}

fedper = enter(
    "fedper", "the last layer stays at home, the others are trained together",
    "Arivazhagan et al., Federated Learning with Personalization Layers, 2019 (arXiv 1912.00818)",
    distribute=KeepLayers(layers=("3.*",)), **COMMON,
)

fedrep = enter(
    "fedrep", "the last layer stays at home and is trained first, then the others while it stands still",
    "Collins et al., Exploiting Shared Representations for Personalized Federated Learning, ICML 2021 (arXiv "
    "2102.07078)",
    distribute=KeepLayers(layers=("3.*",)),
    **COMMON | {"local": HeadThenBody(lr=0.1, head_epochs=1, epochs=1, batch=16)},
)

# GroupNorm for the paper's BatchNorm: what stays at home here scales and shifts each channel; running statistics, which
# no net here has, cannot. Layers 1 and 5 are the norms.
fedbn = enter(
    "fedbn", "the layers that normalise stay at home, for clients whose images look different (GroupNorm here)",
    "after Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization, ICLR 2021 (arXiv "
    "2102.07623)",
    distribute=KeepLayers(layers=("1.*", "5.*")),
    **COMMON | {"net": CNN(channels=8, hidden=32, groups=2), "partition": Rotated(turns=4, of=IID(clients=8))},
)

ditto = enter(
    "ditto", "every client also trains a model of its own, pulled towards the model of all",
    "Li et al., Ditto: Fair and Robust Federated Learning Through Personalization, ICML 2021 (arXiv 2012.04221)",
    personalise=OwnModel(mu=0.1), **COMMON,
)

apfl = enter(
    "apfl", "every client uses a mixture of a model of its own and the model of all",
    "Deng et al., Adaptive Personalized Federated Learning, 2020 (arXiv 2003.13461)",
    personalise=Mixture(alpha=0.5), **COMMON,
)

fine_tuning = enter(
    "fine-tuning", "the model of all, trained a little further on each client's own rows before it is used",
    "standard; e.g. Yu, Bagdasaryan & Shmatikov, Salvaging Federated Learning by Local Adaptation, 2020",
    personalise=FineTune(epochs=2), **COMMON,
)
