from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..part import part
from ..server import Apply
from ..slots import Aggregate
from ..types import Combined, Kind, Memory, Table, View
from .overlap import choose, overlaps
from .rows import gathered

SHOWN = 64   # clients, the first of them, whose overlaps are remembered, to be seen


@part
class Collaborators(Aggregate):
    """Give each client's critical weights the mean of clients like it, and the others the mean of all (FedCAC).

    combine: rows [C, D] are whole models w_i and masks m_i, D twice the columns that travel. The overlap of two masks
    is O_ij = 1 - |m_i - m_j|_1 / (2 |m_i|_1). In round t, j is a collaborator of i when O_ij is at least
    mean O + t / beta (max O - mean O), over all pairs of different clients that came; i always is its own. After round
    beta it is the only one. With v the mean of all and v_i that of i's collaborators, i gets back
    m_i v_i + (1 - m_i) v, beside its mask; the model of all is v. Each client downloads one model: the server puts it
    together. Holds all C D numbers, C^2 overlaps, and for the first 64 clients what is shown, 1 KB a client at most.
    Raises BadInput without Critical, with blocks beside its mask, and unless clients have models of their own.
    Source: Wu et al., ICCV 2023 (see Critical), from their released code, which averages uniformly. In that code all
    clients come in all rounds; choosing among those who came is ours, as are weights by samples, and that a client
    without critical weights overlaps with nobody.
    """

    tag = "models of their own"
    takes = frozenset({Kind.VALUES, Kind.BITS})
    returns_rows = of_models = True

    beta: int = Field(20, ge=1, le=100_000, description="last round in which clients share critical weights")
    weights: Literal["uniform", "samples"] = Field(
        "uniform", description="what a client counts in both means: the same as all, or its rows")

    def weigh(self, sizes):
        sizes = sizes.to(torch.float64)
        return sizes if self.weights == "samples" else torch.ones_like(sizes)

    @property
    def equal_weights(self):
        return self.weights == "uniform"

    def init(self, world, space):
        none = torch.zeros(min(world.clients, SHOWN), dtype=torch.float64, device=world.device)
        return Memory({"overlap": Table(world.clients, none), "chosen": Table(world.clients, none)})

    def combine(self, world, total, weights, expected, cohort, mine):
        models, masks = gathered(total).chunk(2, dim=1)
        near = overlaps(masks)
        chosen = choose(near, cohort.round / self.beta)
        share = chosen * weights.to(near)
        alone = torch.eye(len(near)).to(near)   # whose collaborators all count nothing
        share = torch.where(share.sum(1, keepdim=True) > 0, share, alone)
        share = share / share.sum(1, keepdim=True)
        of_all = weights.to(near) / weights.sum().clamp(min=1e-300)
        common = of_all.to(models) @ models
        rows = torch.where(masks > 0.5, share.to(models) @ models, common)
        last = mine.own["overlap"]   # with those who did not come it stays as it was seen last
        learnt = {"overlap": _written(last, cohort.ids, near), "chosen": _written(0 * last, cohort.ids, chosen)}
        value, rows = torch.cat([common, masks.mean(0)]), torch.cat([rows, masks], dim=1)
        return Combined(value, rows), Memory(learnt, mine.shared)

    def misfits(self, e):
        if "critical" not in {c.name for c in getattr(e.local, "correct", ())}:
            yield (f"aggregate = collaborators finds clients by the weights that matter to them, and local = "
                   f"{e.local.name} does not say which; set local.correct to 'critical', alone")
        if not e.distribute.takes_rows:
            yield (f"aggregate = collaborators gives each client a model of its own, and distribute = "
                   f"{e.distribute.name} makes nothing of it; set distribute to 'own_models'")
        if e.server != Apply():
            yield (f"server = {e.server.name} would change a model that nobody starts from where aggregate = "
                   "collaborators gives each client its own; set server to 'apply', with lr = 1")

    def lacks(self, plan):
        more = [block.name for block in plan.space.blocks if block.name not in ("update", "critical")]
        if more:
            yield (f"aggregate = collaborators combines models by their masks, and has no use for the block "
                   f"{more[0]!r} beside them; leave the correction out that sends it")

    def shows(self, plan, state, cohort):
        mine = state.memory["aggregate"].of(torch.arange(min(plan.world.clients, SHOWN))).own
        labels = tuple(map(str, range(len(mine["overlap"]))))

        def matrix(title, about, what):
            return View("matrix", title, about, labels, tuple(map(tuple, mine[what].cpu().tolist())))

        return {"mask overlap": matrix("Mask overlap", "what share of a client's critical weights (row) another "
                                       "client's (column) has in common with it, when both last came", "overlap"),
                "collaborators": matrix("Collaborators", "1 where a client (row) took its critical weights from "
                                        "another's (column) as well, when it last came", "chosen")}


def _written(rows: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """rows [C, K] with values [C, C] about clients ids [C] in the columns of those of them who are shown."""
    shown = ids < rows.shape[1]
    return rows.index_copy(1, ids[shown].to(rows.device), values[:, shown.to(values.device)].to(rows))
