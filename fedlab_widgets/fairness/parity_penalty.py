from itertools import combinations

from pydantic import Field

from ..part import part
from ..slots import Fairness


@part
class ParityPenalty(Fairness):
    """Punish each client for answers that differ between its groups, batch by batch (statistical parity).

    penalty [C]: weight times the mean, over the pairs of groups in the batch, of half the squared distance between
    their mean softmax outputs [K]; with two groups and two labels weight (mean p | z=1 - mean p | z=0)^2. Nothing is
    asked and nothing more is sent; a batch of one group has no penalty.
    Raises BadInput for a weight outside 0 to 1000. Source: standard; the squared gap and weight 2 are those that we ran
    for Hamman & Dutta, arXiv 2307.11333 (their code uses another parity loss); half the distance, for more than two
    labels, is ours.
    """

    penalises = True

    weight: float = Field(2.0, ge=0, le=1000, description="of the squared gap, beside the loss in nats")

    def lacks(self, plan):
        if len(plan.world.data.groups) < 2:
            yield (f"fairness = parity_penalty needs groups, and task = {plan.world.task.name} has none; leave it out, "
                   "or name a column of groups in the task")

    def penalty(self, world, outputs, y, group, share, told):
        p, means = outputs.softmax(-1), []
        for z in range(len(world.data.groups)):
            mine = share * (group == z)
            n = mine.sum(1, keepdim=True)
            means.append(((mine[..., None] * p).sum(1) / n.clamp(min=1e-12), n > 0))
        total, pairs = 0.0, 0.0
        for (a, there), (b, also) in combinations(means, 2):
            both = (there & also).to(p)
            total = total + ((a - b).square() * both).sum(1) / 2
            pairs = pairs + both[:, 0]
        return self.weight * total / pairs.clamp(min=1)
