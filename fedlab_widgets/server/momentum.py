import torch
from pydantic import Field

from ..part import part
from ..slots import Server
from ..types import Memory


@part
class Momentum(Server):
    """Let the server keep going in the direction of earlier rounds (FedAvgM).

    u <- beta u + d;  model <- model + lr u, or with `nesterov`  model <- model + lr (d + beta u).
    step: model [P], combined update d and memory u [D], D the columns that travel; beta = 0 is plain averaging.
    Steady updates are gone 1 / (1 - beta) times as far: with a large beta a smaller lr may be needed.
    Raises BadInput for fields out of range.
    Source: Hsu, Qi, Brown, arXiv 1909.06335, section 4; Nesterov's form as in torch.optim.SGD.
    """

    lr: float = Field(1.0, gt=0, le=100, description="server step size")
    beta: float = Field(0.9, ge=0, lt=1, description="share of the last rounds' direction that is kept")
    nesterov: bool = Field(False, description="look ahead along the new direction")

    def init(self, world):
        return Memory(shared={"u": torch.zeros(world.sent.width, dtype=world.dtype, device=world.device)})

    def step(self, world, state, value, memory):
        d = value["update"]
        u = self.beta * memory.shared["u"] + d
        way = d + self.beta * u if self.nesterov else u
        return state.model + self.lr * world.sent.put(way), Memory(shared={"u": u})
