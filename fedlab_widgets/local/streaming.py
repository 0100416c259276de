import torch
from pydantic import Field

from ..distribute import Broadcast, Changes
from ..part import part
from ..schedule import Full, Lockstep
from ..types import Memory, Table, Trained, View
from .adam_steps import Adam
from .fragments import fragments, layers, sent_columns

SEEN = 64   # clients, at most, whose weights are looked at for a live reading


@part
class Streaming(Adam):
    """Send the model in fragments, one a round in turn, and train on while one is on its way (Streaming DiLoCo).

    Layers are dealt to P = `fragments` groups. In round r every client goes on from its own weights w [C, P columns],
    takes `steps` steps of AdamW (see the part adam_w) and sends fragment (r - 1) mod P of w - global, global the model
    of all as it stands; the server moves that fragment alone. What it becomes reaches the clients `overlap` steps into
    the next round: w <- mix w + (1 - mix) global there, and nowhere else. Every layer is thus synchronised every
    P x steps steps, and a round sends 1 / P of the bytes, all of them at once only in the last one (`flush`).
    train: start [C, P] = the model of all -> end [C, P] = w. Own rows w, m, v [N, P] and age [N, 1] stay with clients.
    Raises BadInput for fields out of range, overlap not below steps, more fragments than layers, clients that may be
    absent, and starts other than the model of all. The server's momentum of a fragment moves only with that fragment.
    Source: Douillard et al., Streaming DiLoCo with Overlapping Communication (arXiv 2501.18512): fragments, strides and
    the merge of what arrives late. Differs: a round is a fragment's turn, so that fragments are sent at even times, and
    the step size is the same throughout it; `flush` is ours, after public code that sends all before it evaluates.
    """

    in_turn = True

    fragments: int = Field(3, ge=1, le=1000, description="groups of layers, of which one travels in a round")
    strided: bool = Field(True, description="deal layers to fragments in turn; else each fragment is a run of layers")
    overlap: int = Field(1, ge=0, le=100_000, description="steps that clients go on while a fragment is on its way")
    mix: float = Field(0.5, ge=0, le=1, description="weight of the client's own copy when a fragment arrives; 0 "
                                                    "overwrites it")
    flush: bool = Field(True, description="send all fragments in the last round")

    def misfits(self, e):
        if self.overlap >= self.steps:
            yield (f"local.overlap = {self.overlap} steps is no shorter than a round of local.steps = {self.steps}: "
                   f"only one fragment may be on its way; give an overlap of at most {self.steps - 1}")
        if not isinstance(e.schedule, Lockstep) or not isinstance(e.schedule.sampler, Full) or e.schedule.dropout:
            yield ("local = streaming needs every client in every round, or it would miss fragments; set schedule to "
                   "'lockstep' with sampler=full and dropout=0")
        if not isinstance(e.distribute, (Broadcast, Changes)):
            yield (f"local = streaming measures what it sends from the model of all, and distribute = "
                   f"{e.distribute.name} starts clients elsewhere; set distribute to 'changes' or 'broadcast'")

    def lacks(self, plan):
        found = len(set(layers(plan.world.layout.names)))
        if self.fragments > found:
            yield (f"local.fragments = {self.fragments} is more than the {found} layers of net = "
                   f"{plan.experiment.net.name}; give at most {found}, or choose a deeper net")

    def gone(self, world, round: int) -> tuple[int, ...]:
        """The fragments that are sent in a round from 1; none before."""
        if self.flush and round == world.rounds:
            return tuple(range(self.fragments))
        return ((round - 1) % self.fragments,) if round > 0 else ()

    def _names(self, world, round):
        found = fragments(world.layout, self.fragments, self.strided)
        return tuple(name for i in self.gone(world, round) for name in found[i])

    def travels(self, world, state):
        return sent_columns(world.layout, world.sent, self._names(world, state.round + 1))

    def init(self, world):
        first = world.layout.flatten(world.net, world.dtype, world.device)
        return self.moments(world) | Memory({"w": Table(world.clients, first)})

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        arrived = world.layout.columns(self._names(world, cohort.round - 1)).ranges

        def merge(t, w, who):
            for a, b in arrived if t == self.overlap else ():
                w[:, a:b].lerp_(start[who, a:b], 1 - self.mix)

        w, loss, own = self.walk(world, mine.own["w"], mine.own, cohort, keys, tamper, stop, merge)
        here = (cohort.sizes > 0).to(world.device)[:, None]
        w = torch.where(here, w, start)   # who has no rows has nothing to say
        return Trained(w, loss, own=own | {"w": w})

    def shows(self, plan, state, cohort):
        """How far clients are from the model of all, and how old that is, by fragment."""
        world, found = plan.world, fragments(plan.world.layout, self.fragments, self.strided)
        away = state.memory["local"].own["w"].gather(cohort.ids[:SEEN]) - state.model
        far = [float(world.layout.columns(names).take(away).double().norm(dim=1).mean()) for names in found]
        rounds = range(max(state.round - self.fragments, 0) + 1, state.round + 1)
        last = [max((r for r in rounds if i in self.gone(world, r)), default=0) for i in range(self.fragments)]
        flying = ", ".join(str(i + 1) for i in self.gone(world, state.round))
        flying = f"; on its way now: {flying}" if state.round < world.rounds else ""
        labels = tuple(f"fragment {i + 1}" for i in range(self.fragments))
        return {"fragments in flight": View("lines", "Fragments in flight", "how far clients' own copies of a fragment "
                                            f"are from the model of all, in the mean{flying}",
                                            labels, tuple(far)),
                "age of fragments": View("lines", "Age of fragments", "rounds since a fragment was last sent", labels,
                                         tuple(float(state.round - r) for r in last))}
