from typing import Literal

import torch
from pydantic import Field

from ..part import part
from ..slots import Fairness
from ..types import Reply


@part
class Reweigh(Fairness):
    """Let rows count so that label and group look independent: rare combinations more, common ones less.

    A row of group z and label y counts P(z) P(y) / P(z, y) in its client's mean. The shares are those of all clients of
    the round together ("global": each answers with its table of counts [G, L] and is told the weights [G, L], in plain
    numbers, every round) or each client's own ("local": nothing is sent).
    rows: y, group [..., C, B] and told [C, G L] -> weights [..., C, B]; a combination that nobody holds has none.
    Raises BadInput for another scope. Source: Kamiran & Calders, Data preprocessing techniques for classification
    without discrimination, KAIS 2012 (recalled); in federated learning e.g. Abay et al., arXiv 2012.02447 (recalled).
    """

    sends, weighs_rows = True, True

    scope: Literal["global", "local"] = Field("global", description="whose shares of groups and labels count")

    @property
    def stays(self):
        return self.scope == "local"

    def asks(self, world):
        return len(world.data.groups) * len(world.data.labels)

    tells = asks

    def answer(self, world, start, ids):
        shards, L = world.shards, len(world.data.labels)
        first, count = shards.offsets[ids], shards.train[ids]
        place = torch.repeat_interleave(torch.arange(len(ids)), count)
        within = torch.arange(len(place)) - torch.repeat_interleave(count.cumsum(0) - count, count)
        rows = (first[place] + within).to(world.device)
        cell = shards.group[rows] * L + shards.y[rows] + place.to(world.device) * self.asks(world)
        counts = torch.bincount(cell, minlength=len(ids) * self.asks(world))
        return counts.view(len(ids), -1).to(world.dtype)

    def reply(self, world, answers, shares, mine):
        n = answers.double().view(len(answers), len(world.data.groups), -1)
        n = n if self.scope == "local" else n.sum(0, keepdim=True)
        due = n.sum(2, keepdim=True) * n.sum(1, keepdim=True) / n.sum((1, 2), keepdim=True).clamp(min=1)
        weights = torch.where(n > 0, due / n.clamp(min=1), 0.0)
        return Reply(weights.flatten(1).to(answers).expand(len(answers), -1))

    def rows(self, world, y, group, told):
        cell = group * len(world.data.labels) + y
        return told.expand(*cell.shape[:-1], -1).gather(-1, cell)
