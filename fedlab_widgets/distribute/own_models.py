from typing import Literal

import torch
from pydantic import Field

from ..part import part
from ..slots import Distribute
from ..types import Memory, Table


@part
class OwnModels(Distribute):
    """Leave every client a model of its own: it starts from that, and what comes back becomes its next one.

    start: [C, P], each client's own row. After the round the row that the aggregate gives back takes its place; who did
    not take part keeps what it has. "common": all begin with the same weights; "independent": each draws its
    own, by seed, as peers do that never met. Nothing is downloaded before training: what comes back is priced by the
    aggregate. P numbers a client. Raises BadInput for an aggregate that gives all clients the same.
    Source: peers with models of their own, as in Lian et al., NeurIPS 2017 (D-PSGD, remembered).
    """

    keeps_models = True
    takes_rows = True

    begin: Literal["common", "independent"] = Field(
        "common", description="whether all clients begin with the same weights, or each with weights of its own")

    def misfits(self, e):
        if not e.aggregate.returns_rows:
            yield (f"distribute = own_models gives each client a model of its own, and aggregate = {e.aggregate.name} "
                   "makes one row for all; set distribute to 'broadcast', or choose an aggregate that gives rows back")

    def own(self, world, model, fresh):
        table = Table(world.clients, model)
        if self.begin == "independent":
            ids = torch.arange(world.clients)
            table.scatter(ids, torch.stack([fresh(i) for i in ids.tolist()]))
        return table

    def start(self, world, state, ids):
        return state.own.gather(ids)

    def at_home(self, world, end):
        return None

    def after(self, world, state, ids, model, rows, shared, sent):
        return rows, Memory()

    def price(self, world):
        return 0
