"""Two ideas at a time: systems made of the parts of others, each to be trained as it stands."""

from ..aggregate import Mean, Reputation, TrimmedMean
from ..attack import ReverseRanks, SignFlip
from ..correct import ControlVariate
from ..encode import TopK
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
