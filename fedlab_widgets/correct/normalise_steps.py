import torch

from ..part import part
from ..slots import Correct
from ..types import Block, Kind


@part
class NormaliseSteps(Correct):
    """Let clients that take more steps pull no harder: the mean step counts, not the whole way (FedNova).

    Each client sends (end - start) / path, path [C, 1] the sum of step sizes it really took, and in a second block
    "path" of one column that sum itself. The server multiplies the mean of the first by the mean of the second, with
    the weights of the aggregate in both. With one step size, path = lr K_i, this is tau_eff sum_i p_i Delta_i / K_i
    with tau_eff = sum_i p_i K_i. Who took no step sends zeros. 4 bytes up more than FedAvg, in float32.
    Needs plain SGD steps (with momentum the paper counts steps otherwise), a codec that sends numbers as they are, and
    no clipping of whole rows. Raises BadInput where one of these is missing.
    Source: Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, NeurIPS
    2020, for local SGD. Differs: beside a proximal term the paper discounts earlier steps; here they all count one.
    """

    tag = "nothing remembered"
    plain_steps = True

    def blocks(self, world):
        return (Block("path", 1),)

    def finish(self, world, start, end, path, mine):
        step = world.sent.take(end - start) / path.clamp(min=torch.finfo(path.dtype).tiny)
        return {"update": step * (path > 0), "path": path}, {}

    def settle(self, world, value, memory, share):
        return value | {"update": value["update"] * value["path"]}

    def misfits(self, e):
        if Kind.COUNTS not in e.encode.takes:
            yield (f"local.correct = NormaliseSteps sends how far each client stepped, and encode = {e.encode.name} "
                   "would change that number with the others; set encode to 'update'")
        if e.privatise is not None:
            yield (f"local.correct = NormaliseSteps sends a length beside the update, and privatise = "
                   f"{e.privatise.name} would clip and blur the two together; leave one of them out")
