from typing import ClassVar

import torch

from ..nets.super_mask import Masked
from ..part import part
from ..ranking import at_places, ballot, kept, names, places
from ..slots import Server
from ..types import Kind, Memory, View


@part
class ScoresByRank(Server):
    """Sort the weights by the votes of the clients, and give each the score that its place had at the beginning (FRL).

    step: of each tensor the combined places [n] are put in ascending order, and whoever is number i of them gets the
    i-th smallest score of the initial model: scores stay the same set of numbers for ever. Of equal ones the first
    column comes first. Remembers the sorted scores [D], and for each tensor how far the ballots agreed and how much of
    the mask stayed. Raises BadInput for nets other than SuperMask.
    With the mean of places this is the Borda count, and `agreement` Kendall's coefficient of concordance W: 12 times
    the variance of the combined places over n^2 - 1, 1 where all ballots are the same and 1 / C on average where C
    clients draw theirs at random. Of other rules it is the same figure, which may pass 1.
    Source: Mozaffari et al., USENIX Security 2023 (see RankSGD), its majority vote; Kendall & Babington
    Smith, The Problem of m Rankings, Annals of Mathematical Statistics 1939, for W (textbook).
    """

    takes: ClassVar = frozenset({Kind.RANKS})

    def lacks(self, plan):
        if not isinstance(plan.world.net, Masked):
            yield (f"server = scores_by_rank sorts the scores of a masked net, and net = {plan.experiment.net.name} "
                   "has none; set net to 'super_mask', or server to 'apply'")

    def init(self, world):
        scores = world.sent.take(world.layout.flatten(world.net, world.dtype, world.device))
        sizes = ballot(world.layout, world.sent).sizes
        none = scores.new_zeros(len(sizes))
        return Memory(shared={"sorted": torch.cat([s.sort().values for s in scores.split(sizes)]), "agreement": none,
                              "overlap": none})

    def step(self, world, state, value, memory):
        votes, sizes = value["update"], ballot(world.layout, world.sent).sizes
        before = world.sent.take(state.model)
        then, now = places(torch.stack([before, votes]), sizes)
        agreement, overlap = [], []
        for n, vote, a, b in zip(sizes, *(t.split(sizes) for t in (votes, then, now)), strict=True):
            agreement.append(12 * vote.var(correction=0) / max(n * n - 1, 1))
            k = kept(world.net.keep, n)
            overlap.append(((a >= n - k) & (b >= n - k)).sum() / k)
        scores = at_places(memory.shared["sorted"], now, sizes)
        figures = {"agreement": torch.stack(agreement), "overlap": torch.stack(overlap).to(votes)}
        return world.sent.put(scores, into=state.model), Memory(shared=memory.shared | figures)

    def shows(self, plan, state, cohort):
        layers = tuple(name.removeprefix("net.") for name in names(plan.world.layout, plan.world.sent))
        stayed, agreed = (tuple(state.memory["server"].shared[name].tolist()) for name in ("overlap", "agreement"))
        return {"overlap": View("lines", "Rank overlap", "Of the weights that the vote keeps, the share that the vote "
                                "before it kept, by layer", layers, stayed),
                "agreement": View("lines", "Agreement of ballots", "12 times the variance of the combined places over "
                                  "n² - 1, by layer. Where ballots are averaged it is Kendall's W: 1 where all are the "
                                  "same, one over the clients where they are drawn at random", layers, agreed)}
