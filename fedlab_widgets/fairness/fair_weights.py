from typing import Literal

import torch
from pydantic import Field

from ..part import part
from ..slots import Fairness
from ..types import Memory, Reply, Table
from .look import by_group, looks


@part
class FairWeights(Fairness):
    """Let clients count the more, the closer their gap between two groups is to the gap over everybody (FairFed).

    First phase: a client answers with its counts [2, L, right or favourable] of rows, of favourable and of right
    answers, by group and label, [C, 6 L] numbers; nothing is told. The server works out phi, the gap of favourable
    answers over everybody and at each client, and D_k = |phi - phi_k|, or the difference of accuracies where a client's
    gap is not defined. Then w_k <- w_k - beta (D_k - mean D), from w_k = the share that the aggregation rule gives it;
    below 0 counts as 0; where nothing is left all count as without this part. What is remembered is w_k over that
    share. Raises BadInput for beta outside 0 to 100 and, before the run, without two groups, without a favourable
    label, or with an aggregation rule that heeds no weights.
    Source: Ezzeldin et al., FairFed, AAAI 2023 (update recalled, beta 1 recalled); there w_k starts from training rows,
    the gap is that of opportunity, and clients also debias their own training: add `Reweigh(scope="local")`.
    """

    sends = True

    beta: float = Field(1.0, ge=0, le=100, description="how fast weights follow the gaps")
    gap: Literal["opportunity", "parity"] = Field(
        "opportunity", description="of favourable answers: among those whose label is favourable, or among all")

    def misfits(self, e):
        rule = e.aggregate
        while hasattr(rule, "then"):   # it hands weights on
            rule = rule.then
        if not rule.folds:
            yield (f"fairness = fair_weights changes what clients count, and aggregate = {e.aggregate.name} heeds no "
                   "weights; set aggregate to 'mean'")

    def lacks(self, plan):
        data, task = plan.world.data, plan.world.task.name
        if len(data.groups) != 2:
            yield (f"fairness = fair_weights needs two groups, and task = {task} has {len(data.groups)}; set one group "
                   "against all others, or take another part")
        if data.favourable is None:
            yield (f"fairness = fair_weights needs a favourable label, and task = {task} names none; name it in the "
                   "task, or take another part")

    def asks(self, world):
        return 2 * len(world.data.labels) * 3

    def init(self, world):
        return Memory({"factor": Table(world.clients, torch.ones(1, dtype=torch.float64))})

    def answer(self, world, start, ids):
        L, favourable = len(world.data.labels), world.data.favourable
        table = torch.zeros(len(ids), 2 * L, 3, dtype=world.dtype, device=world.device)
        for look in looks(world, start, ids):
            said = look.outputs.argmax(-1)
            marks = torch.stack([torch.ones_like(said), said == favourable, said == look.y], -1).to(world.dtype)
            table[look.who] += by_group(look._replace(group=look.group * L + look.y), marks, 2 * L)
        return table.flatten(1)

    def reply(self, world, answers, shares, mine):
        tables = answers.double().cpu().view(len(answers), 2, -1, 3)
        off = self.distances(tables, world.data.favourable)
        factor, shares = mine.own["factor"], shares.cpu()
        step = torch.where(shares > 0, self.beta * (off - off.mean()) / shares.clamp(min=1e-300), 0.0)
        factor = factor - step[:, None]
        counts = factor[:, 0].clamp(min=0)
        if not (counts * shares).sum() > 0:
            counts = torch.ones_like(counts)
        return Reply(answers[:, :0], counts, Memory({"factor": factor}))

    def distances(self, tables, favourable):
        """D [C] of tables [C, 2, L, (rows, favourable answers, right answers)]."""
        everybody = tables.sum(0, keepdim=True)

        def read(t):
            some = t[:, :, favourable] if self.gap == "opportunity" else t.sum(2)
            rates = some[..., 1] / some[..., 0]   # nan where a group is not there
            accuracy = t[..., 2].sum((1, 2)) / t[..., 0].sum((1, 2))
            return rates[:, 1] - rates[:, 0], accuracy

        (gap, right), (own, own_right) = read(everybody), read(tables)
        return (gap - own).abs().where((gap - own).isfinite(), (right - own_right).abs()).nan_to_num(0.0)
