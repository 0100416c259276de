import torch
from pydantic import Field

from .. import seeds
from ..part import part, slot
from ..slots import Aggregate
from . import liars
from .before import Before, knows_clients
from .median import Median


@part
class Bucketing(Before):
    """Average the rows in small random groups, then combine the groups' means: they differ less than clients do.

    combine: rows [C, D] are put into a random order, drawn anew each round, and cut into buckets of `size`, the last of
    what is left; each bucket is the weighted mean of its rows, weighs as much as they do together, and goes to the rule
    `then`, whose f stays: f liars spoil f buckets at most. Holds the C D numbers, and D more a bucket.
    Raises BadInput for size out of range, for too few buckets, and for a rule that must know whose a row is. Source:
    Karimireddy, He, Jaggi, Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing, ICLR 2022.
    """

    then: slot(Aggregate) = Field(Median(), description="the rule that combines the buckets")
    size: int = Field(2, ge=1, le=10_000, description="rows in a bucket")

    def left(self, count):
        return -(-count // self.size)

    def mix(self, world, x, weights, cohort):
        tickets = seeds.uniforms(world.keys("buckets", cohort.round, cohort.ids), 1, torch.float64)[:, 0]
        bucket = tickets.argsort().argsort() // self.size   # of each client: its place in the order, in whole buckets
        sums = torch.zeros(self.left(len(x)), dtype=torch.float64).index_add_(0, bucket, weights)
        share = weights / sums.clamp(min=1e-300)[bucket]
        means = x.new_zeros(len(sums), x.shape[1])
        return means.index_add_(0, bucket.to(x.device), x.mul_(share[:, None].to(x))), sums

    def misfits(self, e):
        if name := knows_clients(self.then):
            yield (f"aggregate: bucketing hands means of several clients to {name}, which must know whose a row is; "
                   "choose another rule in then")

    def lacks(self, plan):
        buckets = self.left(int(liars.coming(plan)[0] + 1e-9))
        if hasattr(self.then, "room") and buckets < liars.needs(self.then):
            yield (f"aggregate: bucketing leaves {buckets} buckets a round, and then = {self.then.name} with f = "
                   f"{self.then.f} needs {liars.needs(self.then)}; lower size (now {self.size}) or then.f, or let more "
                   "clients take part")
