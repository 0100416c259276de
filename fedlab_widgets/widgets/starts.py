"""One-click starts: four experiments that each make one point in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from ..attack import SignFlip
from ..local import SGD
from ..partition import IID, Dirichlet
from ..recipes import recipe
from ..spec import Experiment
from ..tasks import Digits


@dataclass(frozen=True)
class QuickStart:
    title: str
    point: str
    experiment: Experiment


STARTS = (
    QuickStart("Who is treated differently?",
               "Clients hold mostly women or mostly men. The model was never told anybody's sex: look at the rate gap.",
               Experiment(name="who-is-treated-differently")),
    QuickStart("Clients that disagree",
               "Eight clients hold different digits. The average looks good; look at the worst client.",
               Experiment(name="clients-that-disagree", task=Digits(), partition=Dirichlet(clients=8, alpha=0.1),
                          local=SGD(lr=0.1, batch=32), rounds=10)),
    QuickStart("A liar among us",
               "One of ten clients lies: it sends the opposite of what it learned, ten times as long. Then change the "
               "aggregator from mean to median (Advanced) and start again.",
               Experiment(name="a-liar-among-us", task=Digits(), partition=IID(clients=10),
                          attack=SignFlip(liars=0.1, scale=10.0))),
    QuickStart("Privacy costs",
               "Fifty clients share what they learn at epsilon 3. Switch privacy off and start again: the grey line "
               "was the price. With more clients the same epsilon costs less.",
               recipe("dp-fedavg").changed(**{"name": "privacy-costs", "task": Digits(), "partition": IID(clients=50),
                                              "schedule.sampler.q": 0.5, "local.batch": 16,
                                              "privatise.epsilon": 3.0})),
)
