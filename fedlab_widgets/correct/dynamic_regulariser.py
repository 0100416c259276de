import torch
from pydantic import Field

from ..part import part
from ..slots import Correct
from ..types import Memory, Table


@part
class DynamicRegulariser(Correct):
    """Tilt each client's loss until all clients agree where the slope of the whole is zero (FedDyn).

    own h [N, D], D the columns that travel: g' = g - h_i + alpha (w - start); after the round
    h_i <- h_i - alpha (end - start), which for a client that went all the way is its gradient at the end.
    The server, with s the share of all clients that came and d the mean of their updates: u <- u + s d and
    model <- model + d + u. In the paper's symbols u = -h / alpha, so that the server need not know alpha.
    Nothing but the update is sent, and h_i and u stay where they are: as many bytes as FedAvg.
    Layers that stay at home are pulled to where their client's round began, and not tilted.
    Needs an unweighted mean (checked). Raises BadInput for alpha outside 1e-6 to 100, and through that check.
    Source: Acar et al., Federated Learning Based on Dynamic Regularization, ICLR 2021, Algorithm 1.
    Differs from the paper: some local steps instead of the exact minimum.
    """

    tag = "clients remember"
    equal_weights = True

    alpha: float = Field(0.1, ge=1e-6, le=100, description="strength of the pull to the global model, and of the tilt")

    def init(self, world):
        zero = torch.zeros(world.sent.width, dtype=world.dtype, device=world.device)
        return Memory(own={"h": Table(world.clients, zero)}, shared={"server_u": zero})

    def affine(self, world, start, mine):
        return self.alpha, -self.alpha * start - world.sent.put(mine.own["h"])

    def finish(self, world, start, end, path, mine):
        return {}, {"h": mine.own["h"] - self.alpha * world.sent.take(end - start)}

    def settle(self, world, value, memory, share):
        d = value["update"]
        return value | {"update": d + self._sum(memory, d, share)}

    def fold(self, world, value, memory, share):
        return Memory(memory.own, {"server_u": self._sum(memory, value["update"], share)})

    def _sum(self, memory, d, share):
        return memory.shared["server_u"] + share * d
