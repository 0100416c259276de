import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import Local
from ..table import Table
from ..types import Block, Memory, Space, Trained
from . import bandit_terms, bandit_words
from .bandit_noise import Privacy, deviation, levels, regulariser, symmetric
from .bandit_rounds import closed, exploration, level, met, released, statistics, users
from .vector_sum import vector_sum


@part
class LinUCB(Local):
    """Meet a batch of users, give each the arm that may be best, and send what was learned, with noise where asked.

    train: start [C, P] (a LinearStatistics) -> `batch` users of each silo, one after another: V = G + G_s + lambda I,
    theta = V^-1 (b + b_s), arm = argmax x . theta + explore beta_t |x| in V^-1. Sends block "update": the node of a
    binary tree over rounds that ends with this one, as upper triangle and vector [d (d + 1) / 2 + d], with noise of
    deviation sigma: on the Gram matrix (N + N^T) / 2, so sigma / sqrt(2) off the diagonal. settle: the server sums
    silos, and what is known becomes the sum of nodes, one a binary digit of the round, plus lambda I. Synchronising
    after fixed batches tells nothing of users. The loss of a round is its mean regret.
    Neighbours: one user of one silo more or less. sigma is the published formula, without its constants; `remarks` say
    what holds. With privacy, rewards are cut to `bound` and features to length 1. Raises BadInput for fields out of
    range, other tasks and nets, silos with too few users, and where not all silos come.
    Source: Zhou & Chowdhury, On Differentially Private Federated Linear Contextual Bandits, ICLR 2024 (arXiv
    2302.13945), as in its code: silo-level local privacy, amplification by shuffling, vector sums behind a shuffler
    (there users send whole numbers; the wire here carries their silo's sum). Differs: rewards are cut; the account.
    """

    own_account = "silos hide each of their users as local.privacy says (see the notes); the model has no epsilon"

    batch: int = Field(25, ge=1, le=10_000, description="users of each silo between two synchronisations")
    privacy: Privacy = Field("none", description="who is trusted: all, each user's silo, or a shuffler")
    epsilon: float = Field(1.0, gt=0, le=100, description="what sets the noise, by the published formula")
    delta: float = Field(0.1, gt=0, lt=1, description="chance that epsilon fails; 0.1 is the paper's, not a safe one")
    bound: float = Field(1.0, gt=0, le=100, description="largest reward that counts, where there is noise")
    alpha: float = Field(0.01, gt=0, lt=1, description="chance that the confidence bound of an estimate fails")
    explore: float = Field(1.0, ge=0, le=10, description="how much of that bound is added to an arm's estimate")
    fresh: bool = Field(True, description="whether a silo heeds its users since the last synchronisation, too")
    corrected: bool = Field(True, description="whether lambda outweighs the noise of all silos; else of one")

    def sigma(self, world) -> float:
        """The deviation of the noise in a silo's node."""
        users, d = world.rounds * self.batch, world.net.dimension
        return deviation(self.privacy, self.epsilon, self.delta, world.rounds, users, world.clients, d)

    def ridge(self, world, counted: int | None = None) -> float:
        """lambda, where the noise of so many silos is counted; of as many as the field says when None."""
        counted = counted or (world.clients if self.corrected else 1)
        return regulariser(self.sigma(world), world.rounds, world.clients, world.net.dimension, self.alpha, counted)

    def gives(self, world):
        return Space((Block("update", world.sent.width, shapes=world.layout.shapes_in(world.sent)),))

    def init(self, world):
        empty = torch.zeros(levels(world.rounds), world.sent.width, dtype=world.dtype, device=world.device)
        own = {"nodes": Table(world.clients, empty), "regret": Table(world.clients, empty[0, :1])}
        if self.privacy == "vector sum":
            own["users"] = Table(world.clients, empty.new_zeros(world.rounds * self.batch, world.sent.width))
        return Memory(own, {"server_nodes": empty, "server_syncs": torch.zeros((), dtype=torch.int64)})

    def steps_of(self, sizes, largest):
        return torch.where(sizes > 0, self.batch, 0)

    def misfits(self, e):
        return bandit_terms.misfits(self, e)

    def lacks(self, plan):
        return bandit_terms.lacks(self, plan)

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        n, B, d, x = cohort.round, self.batch, world.net.dimension, users(world, cohort, self.batch, tamper).double()
        keys, sigma, lam = keys.to(world.device), self.sigma(world), self.ridge(world)
        x = x / x.norm(dim=3, keepdim=True).clamp(min=1) if sigma else x
        places, known = world.net.places.to(world.device), world.layout.views(start.double())
        gram = known["gram"][:, places] + (lam * torch.eye(d).to(x) if n == 1 else 0.0)   # later it is in what is known
        noise = world.task.noise * seeds.normals(seeds.fold(keys, 0), B, x.dtype)
        times = range((n - 1) * B + 1, n * B + 1)
        betas = [self.explore * b for b in exploration(times, lam, world.clients, d, world.task.noise, self.alpha)]
        chosen, rewards, regret = met(x, gram, known["bias"], world.task.theta().to(x), noise, betas,
                                      self.bound if sigma else torch.inf, self.fresh, stop)
        each = statistics(chosen, rewards).to(start)
        nodes = closed(mine.own["nodes"], n, each.sum(1))
        own = {"nodes": nodes, "regret": mine.own["regret"] + regret.sum(1, keepdim=True).to(start)}
        if self.privacy == "vector sum":   # users of the whole node encode anew
            own["users"] = torch.cat([mine.own["users"][:, :(n - 1) * B], each, mine.own["users"][:, n * B:]], 1)
            size = B << level(n)
            sent = vector_sum(own["users"][:, n * B - size:n * B], max(1.0, self.bound), size * world.clients, d,
                              self.epsilon / levels(world.rounds)**0.5, self.delta, seeds.fold(keys, 1)).to(start)
        else:
            sent = nodes[:, level(n)] + sigma * symmetric(d, seeds.fold(keys, 1), start.dtype)
        return Trained(start, regret.mean(1).to(start), {"update": sent}, own)

    def settle(self, world, value, memory, share):
        nodes, after = memory.shared["server_nodes"], self.fold(world, value, memory, share).shared["server_nodes"]
        update = after.sum(0) - nodes.sum(0)
        if int(memory.shared["server_syncs"]) == 0:
            on = world.net.places.diagonal().to(update.device)
            update = update.index_add(0, on, torch.full((len(on),), self.ridge(world)).to(update))
        return value | {"update": update}

    def fold(self, world, value, memory, share):
        n, total = memory.shared["server_syncs"] + 1, value["update"] * (share * world.clients)
        nodes = released(memory.shared["server_nodes"], int(n), total)
        return Memory(memory.own, {"server_nodes": nodes, "server_syncs": n})

    def remarks(self, plan):
        return bandit_words.account(self, plan) if self.privacy != "none" else ()

    def figures(self, plan, state):
        return bandit_words.figures(self, plan, state)

    def shows(self, plan, state, cohort):
        return bandit_words.views(self, plan, state)
