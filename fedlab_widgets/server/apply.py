from pydantic import Field

from ..part import part
from ..slots import Server


@part
class Apply(Server):
    """Add the combined update to the model.

    step: model [P] + lr * update. lr = 1 is plain averaging. Raises BadInput for lr out of range.
    Source: McMahan et al., AISTATS 2017, Algorithm 1, written as an update (Reddi et al., ICLR 2021).
    """

    lr: float = Field(1.0, gt=0, le=100, description="server step size")

    def step(self, world, state, value, memory):
        return state.model + self.lr * world.sent.put(value["update"]), memory
