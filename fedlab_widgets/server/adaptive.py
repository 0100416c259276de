from typing import Literal

import torch
from pydantic import Field

from ..part import part
from ..slots import Server
from ..types import Memory


@part
class Adaptive(Server):
    """Let the server take Adam, Yogi or Adagrad steps along the combined update (FedAdam, FedYogi, FedAdagrad).

    m <- beta1 m + (1 - beta1) d;  model <- model + lr m / (sqrt(v) + tau), where v follows d^2 by the rule:
    adam  v <- beta2 v + (1 - beta2) d^2;  yogi  v <- v - (1 - beta2) d^2 sign(v - d^2), which forgets more slowly;
    adagrad  v <- v + d^2, which never forgets, so that steps get shorter and shorter (beta2 is not used).
    step: model [P], update d, memory m and v [D], D the columns that travel. v begins at tau^2; no bias correction, as
    in the paper. Raises BadInput for fields out of range.
    Source: Reddi et al., Adaptive Federated Optimization, ICLR 2021, Algorithm 2.
    """

    rule: Literal["adam", "yogi", "adagrad"] = Field("adam", description="how sizes of earlier updates are remembered")
    lr: float = Field(0.01, gt=0, le=100, description="server step size")
    beta1: float = Field(0.9, ge=0, lt=1, description="memory of the direction")
    beta2: float = Field(0.99, ge=0, lt=1, description="memory of the size (adam and yogi)")
    tau: float = Field(1e-3, ge=1e-8, le=1, description="adaptivity: larger is closer to plain averaging")

    def init(self, world):
        zero = torch.zeros(world.sent.width, dtype=world.dtype, device=world.device)
        return Memory(shared={"m": zero, "v": zero + self.tau**2})

    def step(self, world, state, value, memory):
        d = value["update"]
        m = self.beta1 * memory.shared["m"] + (1 - self.beta1) * d
        v = self._sizes(memory.shared["v"], d**2)
        model = state.model + self.lr * world.sent.put(m / (v.sqrt() + self.tau))
        return model, Memory(shared={"m": m, "v": v})

    def _sizes(self, v, square):
        if self.rule == "adagrad":
            return v + square
        if self.rule == "yogi":
            return v - (1 - self.beta2) * square * torch.sign(v - square)
        return self.beta2 * v + (1 - self.beta2) * square
