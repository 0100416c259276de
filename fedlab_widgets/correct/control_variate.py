import torch

from ..part import part
from ..slots import Correct
from ..types import Block, Memory, Table


@part
class ControlVariate(Correct):
    """Steer each client's steps by how it, and everyone, drifted before (SCAFFOLD).

    own c [N, D], shared c [D], D the columns that travel: g' = g - c_i + c. After the round c_i' = c_i - c +
    (start - end) / path, where path [C, 1] is the sum of step sizes really taken. Sends the change of c_i in a second
    block "control" of D columns; clients download the shared c: both are priced.
    Needs plain SGD steps and an unweighted mean (checked). Raises BadInput through that check.
    Source: Karimireddy et al., SCAFFOLD, ICML 2020, Algorithm 1, option II.
    """

    tag = "clients remember"
    plain_steps = True
    equal_weights = True

    def blocks(self, world):
        return (Block("control", world.sent.width, shapes=world.layout.shapes_in(world.sent)),)

    def init(self, world):
        zero = torch.zeros(world.sent.width, dtype=world.dtype, device=world.device)
        return Memory(own={"c": Table(world.clients, zero)}, shared={"c": zero})

    def affine(self, world, start, mine):
        return 0.0, world.sent.put(mine.shared["c"] - mine.own["c"])

    def finish(self, world, start, end, path, mine):
        drift = world.sent.take(start - end) / path.clamp(min=torch.finfo(path.dtype).tiny)
        change = drift.sub_(mine.shared["c"]).mul_(path > 0)   # who took no step learnt nothing
        return {"control": change}, {"c": mine.own["c"] + change}

    def fold(self, world, value, memory, share):
        return Memory(memory.own, {"c": memory.shared["c"] + share * value["control"]})
