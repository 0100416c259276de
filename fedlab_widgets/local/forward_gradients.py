import torch
from pydantic import Field

from .. import seeds
from ..directions import normals, two_point
from ..part import part
from ..slots import Local
from ..types import Block, Interrupted, Memory, Space, Table, Trained, View


@part
class ForwardGradients(Local):
    """Measure a few slopes of the loss along random directions and send these numbers only; nobody computes a gradient.

    train: at the model [C, P] it got a client draws, `count` times, a batch of its rows (with replacement) and a
    direction z of normal numbers, and measures g = (L(w + epsilon z) - L(w - epsilon z)) / (2 epsilon). Sends block
    "update" [C, G] of slopes. Directions follow from the run's seed, the round, the client and the sample, so that no
    seed travels; replay turns slopes [b, G] into updates -lr / G sum_s g_s z_s [b, columns that travel]. Own: "slopes"
    [N, G], the last ones, for a reading. A client without rows sends zeros.
    Raises BadInput for fields out of range. Source: Zelikman et al., Just One Byte (per gradient): A Note on
    Low-Bandwidth Decentralized Language Model Finetuning Using Shared Randomness, 2023 (arXiv 2306.10015). There a
    step is eta / sqrt(n) times the sum of all n slopes times directions; with the mean over clients and server step 1
    it is here lr / n times that sum, so lr = eta sqrt(n).
    """

    count: int = Field(4, ge=1, le=10_000, description="slopes that each client measures and sends in a round")
    lr: float = Field(0.009, gt=0, le=100, description="step size, of the mean over all slopes of the round")
    epsilon: float = Field(1e-3, gt=0, le=10, description="how far to either side the loss is measured")
    batch: int = Field(32, ge=1, le=1_000_000, description="rows, drawn anew for each slope")

    def gives(self, world):
        return Space((Block("update", self.count),))

    def meant(self, world):
        return Space((Block("update", world.sent.width, shapes=world.layout.shapes_in(world.sent)),))

    def init(self, world):
        slopes = torch.zeros(self.count, dtype=world.dtype, device=world.device)
        return Memory({"slopes": Table(world.clients, slopes)})

    def steps_of(self, sizes, largest):
        return torch.where(sizes > 0, self.count, 0)

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        slopes, losses = [], []
        who, sizes = torch.arange(len(start), device=world.device), cohort.sizes[:, None]
        for s in range(self.count):
            if stop():
                raise Interrupted
            some = seeds.integers(seeds.fold(keys.cpu(), s), self.batch, sizes[:, 0].clamp(min=1))
            rows = ((world.shards.offsets[cohort.ids][:, None] + some) * (sizes > 0)).to(world.device)
            x, y = world.shards.gather(rows)
            x, y = tamper(x, y, who) if tamper else (x, y)
            share = ((sizes > 0) / self.batch).to(world.device, world.dtype).expand(y.shape[:2])
            slope, loss = two_point(world, start, self._direction(world, cohort, s), self.epsilon, x, y, share)
            slopes.append(slope)
            losses.append(loss)
        slopes = torch.stack(slopes, 1)
        return Trained(start, torch.stack(losses, 1).mean(1), {"update": slopes}, {"slopes": slopes})

    def replay(self, world, rows, cohort, memory):
        total = rows.new_zeros(len(rows), world.sent.width)
        for s in range(self.count):
            total.addcmul_(world.sent.take(self._direction(world, cohort, s)), rows[:, s:s + 1])
        return total * (-self.lr / self.count)

    def _direction(self, world, cohort, s):
        """The directions [C, P] of sample s of the cohort's clients."""
        keys = seeds.fold(world.keys("forward gradient", cohort.round, cohort.ids), s)
        return normals(keys.to(world.device), world.sent, world.dtype)

    def shows(self, plan, state, cohort):
        if not len(cohort):
            return {}
        sizes = state.memory["local"].own["slopes"].gather(cohort.ids).abs().double().flatten()
        levels = {"smallest": 0.0, "quarter": 0.25, "median": 0.5, "three quarters": 0.75, "largest": 1.0}
        return {"slopes": View(
            "lines", "Sizes of the slopes", "How large the slopes were that clients measured in this round, before "
            "they were encoded.", tuple(levels), tuple(float(sizes.quantile(q)) for q in levels.values()))}
