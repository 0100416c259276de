"""Two ideas at a time: systems made of the parts of others, each to be trained as it stands."""

from ..aggregate import Mean, Reputation, TrimmedMean
from ..attack import ReverseRanks, SignFlip
from ..correct import ControlVariate
from ..encode import TopK
from ..evaluate import Accuracy
from ..local import Streaming
from ..nets import MLP
from ..partition import Dirichlet
from ..privatise import Gaussian
from ..schedule import Lockstep
from ..spec import Evaluation
from ..tasks import Digits
from .book import BOOK, Recipe


def _compose(name: str, says: str, of: str, **changes) -> None:
    """The recipe `of` with some fields changed, under another name."""
    BOOK[name] = Recipe(BOOK[of].experiment.changed(name=name, **changes), says,
                        f"ours: two published ideas put together, from the recipe {of}")


_compose("fedfix-scaffold", "clients of different speeds that also drift: FedFix's clock, SCAFFOLD's variates",
         "fedfix", **{"local.correct": (ControlVariate(),)})
_compose("fedbuff-trimmed-mean", "liars among clients of different speeds: a trimmed mean of every ten reports",
         "fedbuff", **{"schedule.size": 10}, aggregate=TrimmedMean(f=2), attack=SignFlip(liars=0.1, scale=3.0),
         rounds=150)
_compose("frl-reputation", "liars among voters: who disagrees with the vote counts less, and loses its vote", "frl",
         attack=ReverseRanks(liars=0.3), aggregate=Reputation(then=Mean(weights="uniform"), alpha=0.5, patience=3))
_compose("fedcac-top-k", "models of their own in fewer bytes: masks as they are, a tenth of each update", "fedcac",
         encode=TopK(fraction=0.1))
_compose("fedkseed-trimmed-mean", "liars among clients that send how far they walked: a trimmed mean of every distance",
         "fedkseed", **{"local.directions": 256, "local.steps": 200, "local.lr": 3e-3}, schedule=Lockstep(),
         aggregate=TrimmedMean(f=4), attack=SignFlip(liars=0.2, scale=5.0), rounds=20,
         evaluate=Evaluation(every=5, readings=(Accuracy(),)))
_compose("streaming-diloco-private", "fragments in turn, in four bits, with noise: models that tell little of a client",
         "streaming-diloco", task=Digits(), net=MLP(hidden=(64,)), partition=Dirichlet(clients=100, alpha=0.5),
         local=Streaming(lr=3e-3, steps=5, batch=8, fragments=2, overlap=1, mix=0.0),
         privatise=Gaussian(clip=0.3, epsilon=8.0), aggregate=Mean(weights="uniform", denominator="expected"),
         evaluate=Evaluation(every=5, readings=(Accuracy(),)))
_compose("heavy-hitters-dropped", "the most frequent items where three of ten times a party does not answer",
         "heavy-hitters", schedule=Lockstep(dropout=0.3))
