import torch
from pydantic import Field
from torch import nn

from ..part import part
from ..slots import Correct
from ..types import Memory, Table, _mine


@part
class Contrastive(Correct):
    """Keep what the net sees in a row near to what the global model sees, away from the client's last one (MOON).

    Adds to the loss of each row mu log(1 + exp((s_last - s_global) / temperature)), with s the cosine between the
    representation z [C, B, F] of the row (the input of the net's last layer) and that under the weights where the
    round began, or under those where the client's last round ended. own last [N, P]: the initial model at first.
    Two more forward passes and one backward a step; nothing more is sent, and `last` stays with the client.
    Raises BadInput for fields out of range, and for a net that is no Sequential of layers.
    Source: Li, He, Song, Model-Contrastive Federated Learning, CVPR 2021, eqs. 3 and 4 (their mu 1 to 5, temperature
    0.5). Differs: no projection head, the input of the last layer itself.
    """

    tag = "clients remember"
    linear = False
    sees_rows = True

    mu: float = Field(1.0, ge=0, le=100, description="strength of the contrast beside the task's loss")
    temperature: float = Field(0.5, ge=0.01, le=100, description="smaller: only near rows count, and count more")

    def init(self, world):
        first = world.layout.flatten(world.net, world.dtype, world.device)
        return Memory(own={"last": Table(world.clients, first)})

    def batch(self, world, w, x, y, share, start, mine):
        with torch.no_grad():
            whole, last = (_seen(world, world.layout.views(rows), x) for rows in (start, mine.own["last"]))
        tensors = {name: t.detach().requires_grad_() for name, t in world.layout.views(w).items()}
        with torch.enable_grad():
            now = _seen(world, tensors, x)
            if not now.requires_grad:   # a net of one layer sees the rows themselves
                return torch.zeros_like(w)
            apart = torch.cosine_similarity(now, last, -1) - torch.cosine_similarity(now, whole, -1)
            loss = self.mu * (nn.functional.softplus(apart / self.temperature) * share).sum()
            found = torch.autograd.grad(loss, tuple(tensors.values()), allow_unused=True, materialize_grads=True)
        return world.layout.rows(dict(zip(tensors, found, strict=True)))

    def finish(self, world, start, end, path, mine):
        return {}, {"last": end}

    def lacks(self, plan):
        if not isinstance(plan.world.net, nn.Sequential):
            yield ("local.correct = Contrastive reads the input of the net's last layer, and net = "
                   f"{plan.experiment.net.name} is a {type(plan.world.net).__name__}, no Sequential; build it as an "
                   "nn.Sequential of layers, or choose net = mlp or cnn")


def _seen(world, tensors, x):
    """What C nets with named tensors [C, *shape] see in rows x [C, B, ...]: the input of their last layer [C, B, F]."""
    body = nn.Sequential(*list(_mine(world.net))[:-1])   # its children keep their names
    names = {name for name, _ in body.named_parameters()}

    def one(some, rows):
        return torch.func.functional_call(body, some, (rows,)).flatten(1)

    some = {name: t for name, t in tensors.items() if name in names}
    if world.stacks:
        return torch.vmap(one)(some, x)
    return torch.stack([one({name: t[i] for name, t in some.items()}, rows) for i, rows in enumerate(x)])
