from typing import ClassVar

import torch
from pydantic import Field

from ..part import part, parts_in, slot
from ..slots import Aggregate
from ..table import Table
from ..types import Combined, Kind, Memory
from .mean import Mean
from .reward import agreement, centred, largest, pictures, shares
from .rows import gathered, norms, shrink


@part
class Reputation(Aggregate):
    """Give each client a reputation for pointing where all point, shut out who loses it, reward the others by it.

    combine: rows [C, D], their update no longer than `clip`, are combined to A [D] by the rule `then`, with reputations
    for weights (in the first round what `then` says of sizes). phi_i is the cosine of row i's update and A, 0 where it
    is negative; r_i <- alpha r_i + (1 - alpha) phi_i, from r_i = 0, divided by their sum. After more than `patience`
    rounds a client with r_i < beta / C is shut out for good, and r_i = 0. With `reward` every client has a model of its
    own and gets back its own row and, with q_i = r_i / max r, of each tensor of n columns the ceil(q_i n) entries of A
    that are largest in size: its download is a number and a place (4 bytes) for each, or all numbers where that is
    shorter. Without, there is one model for all. Of RANKS, phi is the correlation of the places, each less its tensor's
    mean and divided by its size, and nothing is clipped. A rule `then` without weights heeds exclusion alone.
    A liar whose row outweighs the others' passes for the truth, and honest clients go: keep `clip` below the usual
    length of an update, and uniform weights where sizes cannot be believed. Holds the C D numbers twice, with reward
    three times, and two numbers a client. Raises BadInput for fields out of range, for rounds that not all clients take
    part in, and where `reward` and the slot distribute do not agree.
    Source: Xu & Lyu, A Reputation Mechanism Is All You Need: Collaborative Fairness and Adversarial Robustness in
    Federated Learning, FL-ICML 2021 (arXiv 2011.10464), as in its released code, of which three things differ:
    reputations belong to clients by their ids there and back (with adversaries it hands rows and rewards to different
    clients); a negative phi is 0, so that no sum of reputations vanishes; all entries come back where q_i = 1.
    """

    tag = "by trust"
    takes: ClassVar = frozenset({Kind.VALUES, Kind.RANKS})
    by_client: ClassVar = True
    excludes: ClassVar = True
    equal_weights: ClassVar = False

    then: slot(Aggregate) = Field(Mean(), description="the rule that combines the rows; reputations are its weights")
    alpha: float = Field(0.95, ge=0, lt=1, description="share of the old reputation that is kept each round")
    beta: float = Field(1 / 3, ge=0, lt=1, description="shut out below this share of the mean reputation; 0 is nobody")
    patience: int = Field(10, ge=0, le=100_000, description="rounds before anybody is shut out")
    clip: float | None = Field(0.5, gt=0, le=1e9, description="longest update; none when empty")
    reward: bool = Field(False, description="whether clients have models of their own, and get back what they earned")

    @property
    def returns_rows(self):
        return self.reward

    @property
    def smooth(self):   # of two entries as large, rounding says which comes back
        return not self.reward and getattr(self.then, "smooth", True)

    def sends_back(self, world):
        return None if self.reward else 0

    def weigh(self, sizes):
        return self.then.weigh(sizes)

    def stands_for(self, count, expected):
        return self.then.stands_for(count, expected)

    def warning(self, count):
        return self.then.warning(count)

    def init(self, world, space):
        first, none = space.blocks[0], torch.zeros(1, dtype=torch.float64)
        return self.then.init(world, space).prefixed("then") | Memory(
            {"reputation": Table(world.clients, none), "excluded": Table(world.clients, none)},
            {"sizes": torch.tensor(first.sizes), "ranks": torch.tensor(first.kind is Kind.RANKS)})

    def combine(self, world, total, weights, expected, cohort, mine):
        x, sizes, ranks = gathered(total), mine.shared["sizes"], bool(mine.shared["ranks"])
        update = x[:, :int(sizes.sum())]
        if self.clip is not None and not ranks:
            update.mul_(shrink(norms(update), self.clip)[:, None].to(x))
        past = mine.own["reputation"][:, 0]
        weights = past * cohort.weights if past.any() else weights
        value, then = self.then.combine(world, self.then.fold(None, x, weights), weights, float(weights.sum()), cohort,
                                        mine.under("then"))
        result = value[:update.shape[1]]
        phi = agreement(*(centred(t, sizes) if ranks else t for t in (update, result))).to(past)
        r = shares(self.alpha * past + (1 - self.alpha) * phi)
        out = (r < self.beta / len(r)) & (cohort.round > self.patience)
        r = shares(r.masked_fill(out, 0))
        memory = Memory({"reputation": r[:, None], "excluded": out[:, None].to(r)}, mine.shared) | then.prefixed("then")
        if not self.reward:
            return value, memory
        gift, down = largest(result, r / r.max(), sizes)
        return Combined(value, torch.cat([update + gift, x[:, update.shape[1]:]], dim=1), down), memory

    def shows(self, plan, state, cohort):
        ids = torch.arange(plan.world.clients)
        return pictures(state.memory["aggregate"].own["reputation"].gather(ids)[:, 0], self.reward)

    def misfits(self, e):
        if self.reward and not e.distribute.takes_rows:
            yield (f"aggregate = reputation gives rows back, and distribute = {e.distribute.name} does not take them; "
                   "set distribute to 'own_models', or aggregate.reward to false")
        elif self.reward and getattr(e.distribute, "begin", "common") != "common":
            yield ("aggregate.reward adds to models what others learnt, which means nothing where these began apart; "
                   "set distribute.begin to 'common'")
        if self.then.returns_rows or any(getattr(p, "excludes", False) for p in parts_in(self)):
            yield f"aggregate.then = {self.then.name} gives rows back or shuts clients out; choose another rule in then"

    def lacks(self, plan):
        schedule, local, kinds = plan.experiment.schedule, plan.experiment.local, plan.space.kinds
        if schedule.rate(plan.world.clients) < 1:
            yield (f"aggregate = reputation compares all clients in every round, and schedule = {schedule.name} does "
                   "not expect all; set schedule to 'lockstep' with the sampler 'full' and no dropout")
        if self.reward and Kind.RANKS in kinds:
            yield (f"aggregate.reward adds a part of the result to clients' weights, and local = {local.name} sends "
                   "ranks, which cannot be added; set aggregate.reward to false and distribute to 'broadcast'")
        if not kinds <= self.then.takes:
            yield (f"aggregate.then = {self.then.name} takes {', '.join(sorted(self.then.takes))}, and local = "
                   f"{local.name} sends {', '.join(sorted(kinds))}; choose another rule in then")
