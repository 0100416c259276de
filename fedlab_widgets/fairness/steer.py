import torch
from pydantic import Field

from ..evaluate.pid_gradient import steer
from ..part import part
from ..slots import Fairness
from ..types import Reply
from .look import by_group, looks


@part
class Steer(Fairness):
    """Lower unique, redundant or masked disparity, each by a knob of its own (PID-steered training).

    First phase: a client answers with its soft table T[z, k], the sum of softmax outputs k over rows of group z [C,
    2 K]; from it m_z = T[z] / n_z, the mean answer to a group. The server works out the slopes g [2, K] of the
    three parts, in closed form, and tells each client where to go, m_z - g_z / hold [C, 2 K]. A client adds to its
    mean loss

        hold / 2 sum_z share_z |mean answer to group z in the batch - what it was told|^2

    with share_z the share of group z in the batch. At the model that was asked about, and over all rows, the
    gradient of the clients together is exactly that of the loss (nats) plus the sum of knob times part (bits); g is
    scaled by what a client's rows are of the whole over what it counts, so that any weights of clients will do.
    Along the slopes alone (hold towards 0) many local steps overshoot, and from a knob of 3 on they do on Adult; a
    pull to a place stops when it is there. In small batches it also pulls the answers within a group together, by
    the variance of their mean.
    Needs two groups. Raises BadInput for fields out of range and, before the run, for more groups.
    Source: ours (the decomposition is that of arXiv 2307.11333; steering by it is not in that paper).
    """

    sends, penalises = True, True

    unique: float = Field(1.0, ge=0, le=1000, description="weight of unique disparity, beside the loss")
    redundant: float = Field(1.0, ge=0, le=1000, description="weight of redundant disparity")
    masked: float = Field(1.0, ge=0, le=1000, description="weight of masked disparity")
    hold: float = Field(10.0, ge=0.001, le=10_000,
                        description="how hard answers are pulled: more is steadier, and slower")

    def lacks(self, plan):
        count = len(plan.world.data.groups)
        if count != 2:
            yield (f"fairness = steer needs two groups, and task = {plan.world.task.name} has {count}; set one group "
                   "against all others, or take the parity penalty")

    def asks(self, world):
        return 2 * len(world.data.labels)

    tells = asks

    def answer(self, world, start, ids):
        table = torch.zeros(len(ids), 2, len(world.data.labels), dtype=world.dtype, device=world.device)
        for look in looks(world, start, ids):
            table[look.who] += by_group(look, look.outputs.softmax(-1), 2)
        return table.flatten(1)

    def reply(self, world, answers, shares, mine):
        tables = answers.double().cpu().view(len(answers), 2, -1)
        if not tables.sum() > 0:
            return Reply(torch.zeros_like(answers))
        g = torch.as_tensor(steer(tables.numpy(), self.unique, self.redundant, self.masked)).double()
        rows, shares = tables.sum((1, 2)), shares.cpu()
        due = torch.where(shares > 0, rows / rows.sum() / shares.clamp(min=1e-300), 0.0)
        means = tables / tables.sum(2, keepdim=True).clamp(min=1e-12)
        return Reply((means - g * due[:, None, None] / self.hold).flatten(1).to(answers))

    def penalty(self, world, outputs, y, group, share, told):
        p, told, total = outputs.softmax(-1), told.view(len(told), 2, -1), outputs.new_zeros(len(outputs))
        if not (self.unique or self.redundant or self.masked):
            return total
        for z in (0, 1):
            mine = share * (group == z)
            n = mine.sum(1)
            off = (mine[..., None] * p).sum(1) / n.clamp(min=1e-12)[:, None] - told[:, z]
            total = total + n * off.square().sum(1)
        return self.hold / 2 * total
