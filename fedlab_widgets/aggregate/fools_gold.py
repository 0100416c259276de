from typing import ClassVar

import torch
from pydantic import Field

from ..part import part
from ..slots import Aggregate
from ..table import Table
from ..types import Memory
from . import rows


@part
class FoolsGold(Aggregate):
    """Trust clients less, the more alike their updates have been so far: one liar under many names gives itself away.

    combine: rows [C, D] -> [D], their mean weighted by trust. Of the sums h_i of all that clients have sent:
    c_ij = cos(h_i, h_j) and v_i = max_j c_ij (at least 0); c_ij is lowered to c_ij v_i / v_j where v_j > v_i, so that
    honest clients are pardoned; trust_i = 1 - max_j c_ij over the largest of them, then kappa (ln(t / (1 - t)) + 1/2),
    all kept within 0 to 1. Where all have been exactly alike nobody is trusted, and the row is 0. Any number of liars
    is caught as long as they push together and honest clients differ; a lone liar is not. Weights are not used.
    Remembers a row [D] per client. Raises BadInput for kappa out of range and where there is but one client.
    Source: Fung, Yoon, Beschastnikh, The Limitations of Federated Learning in Sybil Settings, RAID 2020, whose
    weighting of columns by importance is left out and whose sum of rows is a mean here.
    """

    tag = "by trust"
    by_client: ClassVar = True

    kappa: float = Field(1.0, gt=0, le=100, description="how sharply trust falls: larger is more nearly yes or no")

    def init(self, world, space):
        zero = torch.zeros(space.width, dtype=world.dtype, device=world.device)
        return Memory(own={"sent": Table(world.clients, zero)})

    def combine(self, world, total, weights, expected, cohort, mine):
        x = rows.gathered(total)
        sent = mine.own["sent"] + x
        weight = trust(sent, self.kappa)
        return weight.to(x) / weight.sum().clamp(min=1e-300).to(x) @ x, Memory(own={"sent": sent})

    def warning(self, count):
        return "one row has nobody to be compared with: it is taken as it is" if count == 1 else None

    def lacks(self, plan):
        if plan.world.clients < 2:
            yield "aggregate: fools_gold compares clients, and there is one; set partition.clients to 2 or more"


def trust(sent: torch.Tensor, kappa: float) -> torch.Tensor:
    """The trust [C] (float64), 0 to 1, in clients that have sent rows [C, D] in all."""
    gram = rows.products(sent)
    length = gram.diagonal().sqrt().clamp(min=1e-300)
    alike = (gram / length[:, None] / length).fill_diagonal_(0)
    most = alike.amax(1)
    pardon = (most[:, None] / most.clamp(min=1e-300)).clamp(max=1)
    apart = (1 - (alike * pardon).amax(1)).clamp(0, 1)
    apart = apart / apart.max().clamp(min=1e-300)
    return (kappa * (torch.logit(apart) + 0.5)).clamp(0, 1)
