"""Seeds instead of weights: clients send how far they walked along directions that everybody can draw again.

`fedkseed` and `fedkseed-pro` tune a small net that was warmed up on 50 rows; `fedkseed-austen` a transformer, with the
paper's 4 096 directions and 200 steps: its messages would be as long for a billion weights.
"""

from ..distribute import Rebuilt
from ..encode import Nonzero
from ..evaluate import Accuracy, Writing
from ..local import SeededSteps
from ..nets import MLP, CharTransformer, WarmStart
from ..partition import Dirichlet, Natural
from ..schedule import Fixed, Lockstep
from ..spec import Evaluation
from ..tasks import Austen, Digits
from .book import enter

PAPER = ("Qin et al., Federated Full-Parameter Tuning of Billion-Sized Language Models with Communication Cost under "
         "18 Kilobytes, ICML 2024 (arXiv 2312.06353)")
DIGITS = {"task": Digits(), "net": WarmStart(of=MLP(hidden=(64,)), rows=50),
          "partition": Dirichlet(clients=20, alpha=0.5), "schedule": Lockstep(sampler=Fixed(m=5)),
          "distribute": Rebuilt(), "encode": Nonzero(), "rounds": 40}

fedkseed = enter(
    "fedkseed", "clients walk along shared random directions, without gradients, and send how far", PAPER,
    local=SeededSteps(directions=1024, steps=100, lr=1e-3, batch=16), **DIGITS)

fedkseed_pro = enter(
    "fedkseed-pro", "the same, and directions along which the loss changed much are walked along more often", PAPER,
    local=SeededSteps(directions=1024, steps=100, lr=1e-3, batch=16, adaptive=True), **DIGITS)

fedkseed_austen = enter(
    "fedkseed-austen", "a transformer tuned on chapters it never sends, by messages of under 18 kB", PAPER,
    task=Austen(), net=WarmStart(of=CharTransformer(), rows=3000, steps=300, batch=32, lr=0.1), partition=Natural(),
    schedule=Lockstep(sampler=Fixed(m=5)), distribute=Rebuilt(),
    local=SeededSteps(directions=4096, steps=200, lr=6e-4, batch=16), encode=Nonzero(),
    evaluate=Evaluation(every=5, clients=30, readings=(Accuracy(), Writing())), rounds=20)
