from typing import Literal

import torch
from pydantic import Field

from ..part import part, slot
from ..server import Apply
from ..slots import Aggregate
from ..topology import Regular, Topology
from ..topology.base import among, mixing
from ..types import Combined, Memory, Table, View
from .variances import share, spans, stretched, variances

SHOWN = 64


@part
class Gossip(Aggregate):
    """Let each client mix its model with those of the clients it is linked to: there is no server.

    combine: models [C, D] -> models [C, D], and their mean [D], which nobody but this laboratory sees. Client i gets
    m_i = keep x_i + (1 - keep) mean_j x_j of the neighbours j that came; without `keep` all count alike. Unless
    variances stay as mixed, each tensor of two or more dimensions of m_i is then stretched about its mean, by
    sqrt(s / Var m_i): s is keep Var x_i + (1 - keep) mean_j Var x_j ("all"), mean_j Var x_j ("others") or Var x_i
    ("self").
    Nobody mixes with a client that did not come, which keeps its model. Clients that came all count the same.
    Bytes: once for every link, at its sender, also where the other end is away. Where links stay, a codec is given the
    difference from what was sent last (in the first round: from the model that the run's seed draws), and a client too
    goes on from its model as it was sent: what a codec loses is lost to it as well. Holds the C D numbers three times.
    Raises BadInput without models of their own, with a server that does more than hold the mean, with corrections that
    send more than a model, and for links that cannot be.
    Source: Tian et al., Vanishing Variance Problem in Fully Decentralized Neural-Network Systems, 2024 (arXiv
    2404.04616), in the form of the released code; there epsilon is 1e-4 and biases are stretched too, here it is 1e-12.
    Without correction: Lian et al., NeurIPS 2017 (D-PSGD, remembered), which trains and mixes side by side.
    """

    tag = "without a server"
    returns_rows = True
    of_models = True

    topology: slot(Topology) = Field(Regular(), description="who is linked to whom")
    keep: float | None = Field(None, ge=0, le=1, description="share of its own model that a client keeps; empty: as "
                                                             "much as it takes of each neighbour's")
    variance: Literal["as mixed", "all", "others", "self"] = Field(
        "as mixed", description="whose mean variance each weight matrix is brought back to after mixing, if any")

    def init(self, world, space):
        start = world.sent.take(world.layout.flatten(world.net, world.dtype, world.device))
        return Memory({"public": Table(world.clients, start)}, {"variance": torch.ones(2, dtype=world.dtype)})

    def combine(self, world, total, weights, expected, cohort, mine):
        models = torch.cat(total)
        edges = among(self._edges(world, cohort.round), world.clients, cohort.ids)
        mix, others = (mixing(edges, len(models), keep, models) for keep in (self.keep, 0.0))
        mixed, where = mix @ models, spans(world)
        before, after = (variances(rows, where) for rows in (models, mixed))
        due = {"all": mix @ before, "others": others @ before, "self": before}.get(self.variance, after)
        if self.variance != "as mixed":
            mixed = stretched(mixed, where, due)
        told = torch.stack([share(v, mix @ before).mean() for v in (after, due)]).nan_to_num(1.0).cpu()
        public = mine.own["public"] if self.topology.changes else models
        return Combined(mixed.mean(0), mixed), Memory({"public": public}, {"variance": told})

    def links(self, world, round, ids):
        return torch.bincount(self._edges(world, round)[0], minlength=world.clients)[ids]

    def sends_back(self, world):
        return 0   # what a client receives is counted where it is sent

    def _edges(self, world, round):
        return self.topology.edges(world.clients, round, world.keys("topology", 0, 0))

    def misfits(self, e):
        if not e.distribute.takes_rows:
            yield (f"aggregate = gossip makes a model for each client, and distribute = {e.distribute.name} starts all "
                   "from one; set distribute to 'own_models'")
        if e.server != Apply():
            yield (f"aggregate = gossip has no server, so that server = {e.server.name} would change a model that no "
                   "client uses; set server to 'apply' with lr 1")

    def lacks(self, plan):
        if plan.world.clients < 2:
            yield "aggregate = gossip needs somebody to mix with: there is one client; take 2 clients at least"
        if plan.space.width != plan.world.sent.width:
            more = ", ".join(block.name for block in plan.space.blocks[1:])
            yield (f"aggregate = gossip mixes models, and local = {plan.experiment.local.name} sends {more} beside "
                   "them, for a server to average; leave the correction out that does so")

    def remarks(self, plan):
        e = plan.experiment
        if e.attack is not None and self.variance != "as mixed":
            yield ("gossip stretches what was mixed to the variance of what came, so that one large lie is not "
                   f"diluted but kept at its size: with liars, set aggregate.variance (now {self.variance!r}) to "
                   "'as mixed', or expect that they count more")
        if e.encode.tag == "fewer entries" and getattr(e.distribute, "begin", "") == "independent":
            yield (f"what encode = {e.encode.name} leaves out of the first models, neighbours take from the model that "
                   "the run's seed draws: starts are then not quite independent")

    def shows(self, plan, state, cohort):
        count = min(plan.world.clients, SHOWN)
        ids, edges = torch.arange(count), self._edges(plan.world, cohort.round)
        apart = (state.own.gather(ids) - state.model).double().norm(dim=1).tolist()
        pairs = edges[:, (edges < count).all(0)].sort(0).values.unique(dim=1).T.tolist()
        mixed, kept = state.memory["aggregate"].shared["variance"].tolist()
        lines = {"after mixing": mixed} | ({} if self.variance == "as mixed" else {"as kept": kept})
        return {
            "topology": View("graph", "links", "who is linked to whom, and how far each model is from the mean of all",
                             tuple(map(str, range(count))), tuple(apart), tuple(map(tuple, pairs))),
            "consensus": View("lines", "distance to the mean model", "how far models are from their mean, on average",
                              ("distance",), (sum(apart) / count,)),
            "variance": View("lines", "share of the variance of weights that is left",
                             "the variance inside weight matrices, as a share of what it was on average in the models "
                             "that were mixed", tuple(lines), tuple(lines.values()))}
