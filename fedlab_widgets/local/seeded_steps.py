from dataclasses import replace

import torch
from pydantic import Field

from .. import seeds
from ..directions import Pool
from ..nets.warm_start import WarmStart
from ..part import part
from ..slots import Local
from ..types import Block, Interrupted, Kind, Memory, Space, Trained
from .along import Along
from .batches import batches
from .chances import drawn, learnt, pictures
from .sgd import POLL

WALK = -1   # what is folded into a client's key for its directions; its epochs are 0, 1, …


@part
class SeededSteps(Local):
    """Walk along shared random directions by two forward passes a step, and send how far along each: K numbers.

    All share K directions z_k [P], normal numbers drawn from a seed. A step draws k (with replacement) and a batch,
    g = (L(w + eps z_k) - L(w - eps z_k)) / (2 eps);  w <- w - lr g z_k;  H_k <- H_k + g. No gradient is taken, and
    nothing of the net's size travels: block "update" is H [K], the server's update -lr sum_k H_k z_k of the combined H.
    It keeps A = sum of the combined H over the rounds, which clients download (4 K bytes): w_0 - lr sum_k A_k z_k is
    the model (`distribute = rebuilt`), as long as the server applies updates as they are. A step whose two losses are
    not finite, or differ by more than `skip`, is not taken.
    adaptive: k is drawn with chances softmax(minmax(a)), a_k the mean of |g| (no more than 1000) over the clients that
    walked along it and one 0 to begin with; they send "size" [K], the mean of |g| of their own steps, and "visited" [K]
    in bits, and download the chances: 4 K + K / 8 more bytes up, 4 K down. With the codec `nonzero` only what is not 0
    goes out: at most 8 bytes a step, and as many again for sizes.
    lr is constant and weights do not decay: A is replayed with one lr, and a decayed weight is no sum of directions.
    Holds 4 C P numbers and up to 3 C K. Losses are in the run's type; bfloat16 products would drown their difference.
    Raises BadInput for fields out of range, and for aggregates that mix whole models or give rows back.
    Source: Qin et al., Federated Full-Parameter Tuning of Billion-Sized Language Models with Communication Cost under
    18 Kilobytes, ICML 2024 (arXiv 2312.06353) and its released code, with two differences: directions are numbered, so
    none is drawn twice into the pool; and what a client adds to the history is the mean of its own steps, and is sent.
    """

    rebuilds = True

    directions: int = Field(4096, ge=1, le=1_000_000, description="K, how many directions all share")
    steps: int = Field(200, ge=1, le=100_000, description="steps in a round, whatever the client's size")
    lr: float = Field(1e-3, gt=0, le=100, description="step size, the same in all rounds")
    epsilon: float = Field(5e-4, gt=0, le=1, description="how far to either side the loss is looked at")
    batch: int | None = Field(16, ge=1, le=1_000_000, description="rows in a step; all of the client's when empty")
    skip: float | None = Field(None, gt=0, description="skip steps whose two losses differ by more; none when empty")
    adaptive: bool = Field(False, description="whether directions along which the loss changed much are drawn more")

    def gives(self, world):
        K, history = self.directions, [Block("size", self.directions), Block("visited", self.directions, Kind.BITS)]
        return Space((Block("update", K), *(history if self.adaptive else ())))

    def steps_of(self, sizes, largest):
        return torch.where(sizes > 0, self.steps, 0)

    def init(self, world):
        zero = torch.zeros(self.directions, dtype=world.dtype, device=world.device)
        if not self.adaptive:
            return Memory(shared={"total": zero})
        return Memory(shared={"total": zero, "chances": zero + 1 / self.directions, "server sizes": zero,
                              "server visits": zero})

    def pool(self, world) -> Pool:
        return Pool(world.seed, self.directions, world)

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        total = self.steps_of(cohort.sizes, world.shards.largest)
        order = total.argsort(descending=True, stable=True)   # clients without rows stand last, and rest
        who, back = order.to(world.device), order.argsort().to(world.device)
        keys, chance = keys.cpu()[order], mine.shared.get("chances")
        chance = None if chance is None else chance.cpu() if chance.dim() == 1 else chance.cpu()[order]
        numbers = drawn(seeds.fold(keys, WALK), self.steps, self.directions, chance).to(world.device)
        walk = Along(self, world, start[who].contiguous())
        batch = min(self.batch or world.shards.largest, max(world.shards.largest, 1))
        chosen = iter(numbers.unbind(1))   # a direction for each client, step by step
        for steps in batches(world.shards, cohort.ids[order], keys, batch, total[order], world.dtype, POLL):
            if stop():
                raise Interrupted
            for rows, share, alive, a in zip(*steps, strict=True):
                x, y = world.shards.gather(rows[:a])
                x, y = tamper(x, y, who[:a]) if tamper else (x, y)
                walk.step(next(chosen)[:a], x, y, share[:a], alive[:a])
        extras = {"update": walk.H}
        if self.adaptive:
            extras |= {"size": walk.size / walk.visits.clamp(min=1), "visited": (walk.visits > 0).to(world.dtype)}
        return Trained(walk.w[back], (walk.loss / walk.taken.clamp(min=1))[back],
                       {name: rows[back] for name, rows in extras.items()})

    def settle(self, world, value, memory, share):
        return value | {"update": world.sent.take(self.pool(world).combine(-self.lr * value["update"].double()))}

    def fold(self, world, value, memory, share):
        memory = replace(memory, shared=memory.shared | {"total": memory.shared["total"] + value["update"]})
        return learnt(memory, value["size"], value["visited"], share * world.clients) if self.adaptive else memory

    def shows(self, plan, state, cohort):
        return pictures(state.memory["local"].shared)

    def misfits(self, e):
        if e.aggregate.of_models or e.aggregate.returns_rows:
            yield (f"aggregate = {e.aggregate.name} mixes whole models or gives rows back, and local = {self.name} "
                   "sends numbers of directions; set aggregate to 'mean' or 'trimmed_mean'")

    def remarks(self, plan):
        e, K = plan.experiment, self.directions
        if not isinstance(e.net, WarmStart):
            yield (f"net = {e.net.name} begins with random weights, from which steps along random directions lead "
                   "nowhere soon; set net to 'warm_start' around it")
        if e.distribute.price(plan.world):
            yield (f"clients download the model and the {K:,} numbers it could be rebuilt from; with distribute = "
                   "'rebuilt' they download the numbers alone")
        came = e.schedule.rate(plan.world.clients) * len(e.schedule.eligible(plan.world.clients))
        along = came * (1 - (1 - 1 / K) ** self.steps)
        if not e.aggregate.folds and along < came / 2:
            yield (f"of {came:.3g} clients a round {along:.2g} walk along any one direction, so that most numbers that "
                   f"aggregate = {e.aggregate.name} compares are 0; lower local.directions or raise local.steps")
