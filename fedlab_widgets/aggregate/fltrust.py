from typing import ClassVar

from pydantic import Field

from ..part import part
from ..slots import Aggregate
from . import rows


@part
class FLTrust(Aggregate):
    """Believe the others as far as they agree with one trusted client, at its length.

    combine: rows [C, D] -> [D]. With g the row of the client `trusted`, every other row is brought to the length of g
    and averaged with the weight max(0, cos(row, g)); where nobody agrees with g at all, the result is g. Any number of
    the others may lie. Weights are not used. Holds all C D numbers twice.
    Raises BadInput where the trusted client is no client, is a liar, or may miss a round.
    Source: Cao et al., FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, NDSS 2021.
    Differs: there g comes from a small set of rows that the server holds; here a client stands for it.
    """

    tag = "by trust"
    by_client: ClassVar = True

    trusted: int = Field(0, ge=0, description="the id of the client whose row is the reference")

    def combine(self, world, total, weights, expected, cohort, mine):
        x = rows.gathered(total)
        is_it = (cohort.ids == self.trusted).to(x.device)
        g = x[is_it].sum(0)
        own, lengths = rows.norms(g[None]), rows.norms(x).clamp(min=1e-300)
        agree = ((x @ g).double() / lengths / own.clamp(min=1e-300)).clamp(min=0).masked_fill(is_it, 0)
        total = agree.sum()
        return ((agree * own / lengths / total).to(x) @ x if total > 0 else g), mine

    def lacks(self, plan):
        clients, schedule = plan.world.clients, plan.experiment.schedule
        eligible = schedule.eligible(clients)
        if self.trusted not in eligible:
            yield (f"aggregate: fltrust needs client trusted = {self.trusted} in every round, and the clients that "
                   f"may take part have ids from {eligible[0]} to {eligible[-1]}; set trusted to one of them")
        elif schedule.rate(clients) < 1:
            yield (f"aggregate: fltrust needs client trusted = {self.trusted} in every round, and it comes to a share "
                   f"of {schedule.rate(clients):.2g} of them; set schedule.sampler to full and schedule.dropout to 0")
        if self.trusted in plan.liars.tolist():
            yield (f"aggregate: fltrust trusts client {self.trusted}, which lies; set trusted to an honest client, or "
                   "name the liars by id in attack.liars")
