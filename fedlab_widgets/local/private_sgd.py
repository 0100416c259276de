import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..privatise.clipping import OUTSIDE
from ..slots import Local
from ..types import Block, Interrupted, Space, Trained
from .lots import clipped_sum, lots, wide
from .sgd import POLL


@part
class PrivateSGD(Local):
    """DP-SGD at each client: what leaves a client hides any one of its rows, from the server too.

    train: start [C, P] -> end [C, P]. In each step every row of client k comes with chance q_k = min(1, batch / n_k);
    the gradient of each is cut to length clip;  w <- w - lr / min(batch, n_k) (sum + N(0, (noise_multiplier clip)^2)),
    however many came. An epoch is ceil(n_k / batch) steps. Sends block "update" = end - start.
    Neighbours differ in one row of one client. n_k is taken as public, as the mean's weights take it. epsilon is each
    client's own, `fl.client_epsilons`: the fewer rows, the larger q_k and epsilon. Rows belong to one client each, so
    what holds for all of them is the largest. The server's sampling of clients hides no row from the server.
    Raises BadInput for fields out of range. Source: Abadi et al., Deep Learning with Differential Privacy, CCS 2016
    (arXiv 1607.00133), Algorithm 1, run by each client in a round as FedAvg's local steps.
    """

    alternatives = (("epochs", "steps"),)

    lr: float = Field(0.1, gt=0, le=100, description="step size")
    epochs: int | None = Field(1, ge=1, le=1000, description="passes over a client's rows in a round, on average")
    steps: int | None = Field(None, ge=1, le=100_000, description="or: steps in a round, whatever the client's size")
    batch: int = Field(32, ge=1, le=1_000_000, description="rows expected in a step")
    clip: float = Field(1.0, gt=0, le=1e6, description="longest gradient of a row")
    noise_multiplier: float = Field(1.0, ge=0, le=1e4, description="noise deviation on the sum, in clips")
    delta: float = Field(1e-5, gt=0, lt=1, description="chance that a client's epsilon fails; well below 1 / its rows")

    def gives(self, world):
        return Space((Block("update", world.sent.width, shapes=world.layout.shapes_in(world.sent)),))

    def steps_of(self, sizes, largest):
        per_epoch = (sizes + self.batch - 1) // self.batch
        return torch.where(sizes > 0, per_epoch * self.epochs if self.steps is None else self.steps, 0)

    def misfits(self, e):
        for f in e.fairness:
            if f.sends and not f.stays:
                yield (f"fairness = {f.name} makes clients send figures of their rows that local = private_sgd does "
                       "not hide, so that no epsilon would hold; leave one of them out")

    def lacks(self, plan):
        shards = plan.world.shards
        first = shards.offsets[shards.rows > 0]
        if len(first.unique()) < len(first):
            yield ("local = private_sgd counts what each client spends on rows of its own, and with partition = "
                   f"{plan.experiment.partition.name} a row belongs to several; choose a partition that deals "
                   "every row to one client")

    own_account = "each client promises its own rows an epsilon of its own (client_epsilons); the model has none"

    def remarks(self, plan):
        """What a reader should know before the run, in sentences."""
        sizes, z = plan.world.shards.train, self.noise_multiplier
        few = int(((sizes > 0) & (self.delta * sizes >= 1)).sum())
        if z == 0:
            yield "local.noise_multiplier = 0 adds no noise: there is no privacy, and epsilon is infinite for all"
        if few:
            yield (f"local.delta = {self.delta:.3g} is not below 1 / rows for {few} clients: a mechanism that "
                   f"publishes a row could meet it; choose a delta below {1 / int(sizes.max()):.2g}")
        yield ("epsilon is each client's own, of what the server sees of any one of its rows (client_epsilons lists "
               "them); the model has none. Client sizes are taken as public, and noise that follows from the seed "
               "demonstrates the mechanism and protects nobody")
        yield OUTSIDE

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        shards, device, C = world.shards, world.device, len(cohort)
        total = self.steps_of(cohort.sizes, shards.largest)
        order = total.argsort(descending=True, stable=True)   # who rests first stands last: those at work are a prefix
        who, back, total = order.to(device), order.argsort().to(device), total[order]
        ids, keys, real = cohort.ids[order], keys.cpu()[order], world.layout.real
        w = start[who].contiguous()
        width = wide(min(self.batch, shards.largest), shards.largest)
        size = cohort.sizes[order].clamp(min=1, max=self.batch).to(device, world.dtype)
        taken, loss = (w.new_zeros(C) for _ in range(2))
        for t in range(int(total.max())):
            if t % POLL == 0 and stop():
                raise Interrupted
            a = max(int((total > t).sum()), min(2, C))   # two at least: products of one take other kernels
            alive = (total[:a] > t).to(device, world.dtype)
            step = seeds.fold(keys[:a], t)
            rows, there = lots(shards, ids[:a], seeds.fold(step, 0), self.batch, width)
            g = real.put(seeds.normals(seeds.fold(step, 1).to(device), real.width, w.dtype)).mul_(
                self.noise_multiplier * self.clip)
            for some, here in zip(rows, there, strict=True):
                x, y = shards.gather(some)
                x, y = (x, y) if tamper is None else tamper(x, y, who[:a])
                summed, losses = clipped_sum(world, w[:a], x, y, here.to(w.dtype), self.clip)
                g += summed
                loss[:a] += losses / size[:a] * alive
            w[:a].addcmul_(g, (alive / size[:a])[:, None], value=-self.lr)
            taken[:a] += alive
        return Trained(w[back], (loss / taken.clamp(min=1))[back])
