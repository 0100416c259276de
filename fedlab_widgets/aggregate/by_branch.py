import torch
from pydantic import Field

from .. import seeds
from ..nets.branches import count, most_moved, unfit
from ..part import part, slot
from ..slots import Aggregate
from .before import knows_clients
from .mean import Mean
from .rows import gathered


@part
class ByBranch(Aggregate):
    """Combine each branch of the net from the rows of those who trained it, and of nobody else (IFCA).

    combine: rows [C, D] -> [D]. A row counts for the branch that it moves most, wherever it says it belongs, so that a
    liar spoils one branch at most; the rule `then` combines each branch's columns of its rows, with their weights. A
    branch that nobody trained stays as it is; a row that moves nothing counts for none. The f of a rule is of each
    branch. Where the net has no branches this is `then`. Holds the C D numbers twice. Raises BadInput where the choice
    does not stay at home, for a rule that remembers or must know whose a row is, and for a codec after which it cannot
    be told which branch was trained.
    Source: Ghosh et al., NeurIPS 2020 (see LeastLoss), Algorithm 1 with model averaging (recalled); their averaging of
    gradients, which divides by all clients of the round, is the plain mean. Rules other than the mean are ours.
    """

    tag = "before another rule"

    then: slot(Aggregate) = Field(Mean(), description="the rule that combines the rows of one branch")

    def weigh(self, sizes):
        return self.then.weigh(sizes)

    @property
    def equal_weights(self):
        return self.then.equal_weights

    def warning(self, count):
        return self.then.warning(count)

    def combine(self, world, total, weights, expected, cohort, mine):
        pieces = gathered(total).unflatten(1, (count(world), -1))
        which, moves = (t.to(weights.device) for t in most_moved(pieces))
        combined = torch.zeros_like(pieces[0])
        for j in range(len(combined)):   # branches are few; clients stay a dimension
            who = (which == j) & moves
            if who.any():
                rows, w = pieces[who.to(pieces.device), j], weights[who]
                total = self.then.fold(None, rows, w)
                combined[j] = self.then.combine(world, total, w, expected, cohort[who], mine)[0]
        return combined.flatten(), mine

    def lacks(self, plan):
        yield from unfit(self, plan)
        world, space, k = plan.world, plan.space, count(plan.world)
        memory = self.then.init(world, space)
        if (memory.own or memory.shared) and k > 1 or knows_clients(self.then):
            yield (f"aggregate: by_branch gives each branch to {self.then.name} anew, which remembers rounds or must "
                   "know whose a row is; choose another rule in then")
        if k > 1 and space.width and not self._told_apart(plan, k):
            yield (f"encode = {plan.experiment.encode.name} spreads what one branch learnt over all of them, so that "
                   f"aggregate = by_branch cannot tell which it was; set encode to OneBranch(branches={k})")

    def _told_apart(self, plan, k: int) -> bool:
        """Whether rows that each move another branch do so after encoding too."""
        encode, keys = plan.experiment.encode, plan.world.keys("encode", 1, torch.arange(k))
        values = seeds.normals(keys, plan.space.width // k, plan.world.dtype)
        rows = torch.einsum("jw,ji->jiw", values, torch.eye(k).to(values)).flatten(1).to(plan.world.device)
        mine = encode.init(plan.world, plan.space).at_clients(torch.zeros(k, dtype=torch.int64))
        arrived = encode.decode(encode.encode(rows, plan.space, keys, mine)[0], plan.space)
        return most_moved(arrived.unflatten(1, (k, -1)))[0].tolist() == list(range(k))
