import torch
from pydantic import Field

from ..part import part
from ..server.apply import Apply
from ..slots import Distribute
from ..table import Table
from ..types import Memory, payload_bytes

SEED = 8   # bytes of the number that all shared directions are drawn from


@part
class Rebuilt(Distribute):
    """Let clients rebuild the model from the one they know already and the numbers of shared directions.

    start: w_0 - lr sum_k A_k z_k, which is the model [P] seen as [C, P]: nothing of it is sent, and the numbers A that
    the local training shares are priced beside it. A client that takes part for the first time downloads the seed of
    the directions (8 bytes), and w_0 (P numbers) unless it has it already. Bytes down therefore depend on who is new;
    the price known beforehand leaves first times out, and a client that drops out of its first round pays in its next.
    Remembers a number a client. The work of rebuilding (K P multiplications a client) is done once for all here.
    Raises BadInput unless rows are numbers of shared directions and the server applies them as they are.
    Source: Qin et al., ICML 2024 (arXiv 2312.06353); billing of first times is ours.
    """

    certain = False

    known: bool = Field(True, description="whether clients have the first model already (a pretrained one)")

    def init(self, world, shared):
        return Memory({"seen": Table(world.clients, torch.zeros(1, dtype=torch.float64))})

    def start(self, world, state, ids):
        return state.model.expand(len(ids), -1)

    def price(self, world):
        return 0

    def downloads(self, plan, state, cohort):
        new = int((state.memory["distribute"].own["seen"].gather(cohort.ids) == 0).sum())
        first = 0 if self.known else payload_bytes(plan.world.sent.width, plan.world.dtype)
        return new * (SEED + first)

    def after(self, world, state, ids, model, rows, shared, sent):
        return None, Memory({"seen": torch.ones(len(ids), 1, dtype=torch.float64)})

    def misfits(self, e):
        if not e.local.rebuilds:
            yield (f"distribute = {self.name} rebuilds the model from numbers of shared directions, and local = "
                   f"{e.local.name} has none; set local to 'seeded_steps', or distribute to 'broadcast'")
        if e.server != Apply():
            yield (f"distribute = {self.name} needs the sum of updates to be the model, and server = {e.server.name} "
                   "does more with them; set server to 'apply' with lr = 1, or distribute to 'broadcast'")
