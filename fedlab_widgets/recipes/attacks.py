from ..aggregate import Median
from ..attack import ALIE, Backdoor, FreeRider, InnerProduct, Mimic, MinMax, MinSum, Scaled
from .book import enter

alie = enter(
    "alie", "one client in five lies: a row within what honest ones scatter, against the median",
    "Baruch et al., A Little Is Enough: Circumventing Defenses For Distributed Learning, NeurIPS 2019 "
    "(arXiv 1902.06156)",
    attack=ALIE(z=1.5), aggregate=Median(),
)

inner_product = enter(
    "inner-product", "one client in five lies: the honest mean turned round, against the median",
    "Xie et al., Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product Manipulation, UAI 2019 "
    "(arXiv 1903.03936)",
    attack=InnerProduct(), aggregate=Median(),
)

MANIPULATING = ("Shejwalkar & Houmansadr, Manipulating the Byzantine: Optimizing Model Poisoning Attacks and Defenses "
                "for Federated Learning, NDSS 2021")
min_max = enter(
    "min-max", "one client in five lies: as far out as the two honest rows furthest apart, against the median",
    MANIPULATING,
    attack=MinMax(), aggregate=Median(),
)

min_sum = enter(
    "min-sum", "one client in five lies: as far out as the honest row furthest from the rest, against the median",
    MANIPULATING,
    attack=MinSum(), aggregate=Median(),
)

mimic = enter(
    "mimic", "one client in five lies: a copy of one honest row, against the median",
    "Karimireddy et al., Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing, ICLR 2022 "
    "(arXiv 2006.09365)",
    attack=Mimic(), aggregate=Median(),
)

boosting = enter(
    "boosting", "one client in five makes its update ten times as long, against the mean",
    "Bhagoji et al., Analyzing Federated Learning through an Adversarial Lens, ICML 2019 (arXiv 1811.12470)",
    attack=Scaled(),
)

free_rider = enter(
    "free-rider", "one client in five does no work and sends the model back as it came",
    "Fraboni et al., Free-rider Attacks on Model Aggregation in Federated Learning, AISTATS 2021 "
    "(arXiv 2006.11901)",
    attack=FreeRider(),
)

backdoor = enter(
    "backdoor", "a trigger that brings one answer, sent by liars who replace the model with theirs",
    "Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020 (arXiv 1807.00459)",
    attack=Backdoor(),
)
