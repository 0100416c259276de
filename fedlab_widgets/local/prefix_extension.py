import torch
from pydantic import Field

from .. import prefix_views
from ..aggregate.sum_by_item import SumByItem
from ..nets.prefix_tree import PrefixTree
from ..oracle import LeastVariance, Oracle
from ..part import part, slot
from ..prefixes import Candidates, as_bits, extended, listed
from ..server import Apply
from ..slots import Local
from ..types import Interrupted, Memory, Table, Trained
from . import prefix_rows
from .prefix_users import answers


@part
class PrefixExtension(Local):
    """Find the most frequent items by asking users, under local differential privacy, how theirs begin.

    A round is a level: `step` bits more. Each party deals its users at random into as many groups as there are levels;
    a group's users report once, with the whole epsilon: which candidate their item begins with, or that none does.
    Candidates are the prefixes kept so far with all ways to go on. Kept are those whose estimate exceeds tau standard
    deviations, but at least the k highest and at most net.width. In the first `shared` levels parties send estimates,
    which are added, and all go on from one list; then each goes on alone, sends nothing, and in the last level sends
    its items with estimates, which are added item by item; the server keeps the k highest. shared = 0: parties work
    alone (FedPEM); shared = all levels: one tree for all; net.width = k: as many prefixes at every level.
    train: start [C, P] -> end = start; sends estimates [E], their variance and items [E, M] (see prefix_rows); loss [C]
    is the estimated share of users whose item begins with no candidate. Who missed levels extends its best prefixes by
    several at once, as far as E = net.width 2^step candidates go. Estimates stand for users of all groups.
    Raises BadInput for other nets, rules and servers, items not of 0 and 1, levels that do not come out even.
    Source: Zhang, Ye, Hu, Federated Heavy Hitter Analytics with Local Differential Privacy, SIGMOD 2025 (arXiv
    2412.14832): shared trie, adaptive extension. The rule of tau, the defaults and catching up are ours; their
    consensus-based pruning (TAPS) is not here.
    """

    epsilon: float = Field(2.0, gt=0, le=50, description="what a user's one report may tell: local epsilon")
    k: int = Field(10, ge=1, le=1000, description="heavy hitters that are sought")
    step: int = Field(2, ge=1, le=8, description="bits by which prefixes grow in a round")
    shared: int = Field(4, ge=0, le=30, description="rounds in which parties grow one tree; then each its own")
    tau: float = Field(2.0, ge=0, le=100, description="standard deviations of noise above which a prefix is kept")
    oracle: slot(Oracle) = Field(LeastVariance(), description="how users report")

    @property
    def own_account(self):
        return (f"each user reports once, with local differential privacy of epsilon = {self.epsilon:g}, whatever "
                "parties and the server do with it")

    def due(self, round: int) -> int:
        """Bits of the prefixes that are kept after a round."""
        return round * self.step

    def common(self, round: int) -> bool:
        """Whether all parties grow one tree in this round."""
        return round <= self.shared

    def candidates(self, world, prefix, length, round: int) -> Candidates:
        return Candidates.of(prefix, (self.due(round) - length).clamp(min=0), prefix.shape[1] << self.step)

    def gives(self, world):
        return prefix_rows.space(self, world)

    def travels(self, world, state):
        return prefix_rows.travels(self, world, state)

    def replay(self, world, rows, cohort, memory):
        return prefix_rows.replayed(self, world, rows, cohort, memory)

    def init(self, world):
        model = world.layout.flatten(world.net, world.dtype, world.device)
        known, _ = listed(world, model[None])
        own = {"list": known[0], "length": known.new_zeros(1), "asked": known.new_zeros(1)}
        return Memory({name: Table(world.clients, fill) for name, fill in own.items()}, {"server list": model})

    def steps_of(self, sizes, largest):
        return (sizes > 0).long()

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        if stop():
            raise Interrupted
        round, (width, bits) = cohort.round, world.net.bits.shape
        prefix, length = listed(world, start)
        ahead = mine.own["length"][:, 0] > length   # who has gone on alone goes on from its own list
        prefix = torch.where(ahead[:, None], mine.own["list"], prefix)
        found = self.candidates(world, prefix, torch.where(ahead, mine.own["length"][:, 0], length), round)
        estimate, variance, unlisted = answers(self, world, cohort, found, tamper)
        about, sent = variance[:, None] * torch.tensor([1, 0, 0], device=start.device), torch.zeros_like(found.prefix)
        own = mine.own | {"asked": found.count[:, None]}
        if not self.common(round):
            best, theirs = extended(found.prefix, estimate, self.tau * variance.sqrt(), self.k, width)
            own |= {"list": best, "length": torch.full_like(own["length"], self.due(round))}
            estimate, about = torch.zeros_like(estimate), 0 * about
            if self.due(round) == bits:
                estimate[:, :width], sent[:, :width] = theirs, best.clamp(min=0)
        extras = {"update": estimate, "about": about, "items": as_bits(sent, bits, estimate).flatten(1)}
        return Trained(start, unlisted.to(world.dtype), {name: t.to(world.dtype) for name, t in extras.items()}, own)

    def settle(self, world, value, memory, share):
        new = prefix_rows.renewed(self, world, value, memory)
        return value | {"update": world.sent.take(new - memory.shared["server list"])}

    def fold(self, world, value, memory, share):
        return Memory(memory.own, {"server list": prefix_rows.renewed(self, world, value, memory)})

    def misfits(self, e):
        yield from prefix_rows.misfits(e, PrefixTree, SumByItem, Apply)

    def lacks(self, plan):
        return prefix_rows.lacks(self, plan)

    def remarks(self, plan):
        yield ("what users report is drawn from the run's seed: whoever knows it can tell their items from their "
               "reports, so that this demonstrates the mechanism and protects nobody")

    def figures(self, plan, state):
        return prefix_views.figures(self, plan, state)

    def shows(self, plan, state, cohort):
        return prefix_views.shows(self, plan, state)
