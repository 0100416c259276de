"""What is said and shown of a run of linear bandits: regret, the noise and its account, in sentences and pictures."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..privatise.clipping import OUTSIDE
from ..privatise.tree_view import tree
from ..types import View
from .bandit_noise import amplifies_up_to, guarantee, levels, rho, shuffled
from .vector_sum import bits


def account(part, plan) -> Iterator[str]:
    """What the published noise really promises a user of a silo, before the run."""
    world, e = plan.world, part.epsilon
    M, sigma, delta = world.clients, part.sigma(world), part.delta
    kappa, spent = levels(world.rounds), rho(sigma, world.rounds, part.bound)
    nodes = f"each user is in at most {kappa} nodes of noise of deviation {sigma:.4g} a silo"
    said = f"local.epsilon = {e:g} sets the noise by the published formula, which drops its constants"
    if part.privacy == "vector sum":
        yield (f"{nodes}; of the sum over all {M} silos, all that leaves the shuffler, they are about "
               f"{spent / M:.3g}-zCDP for one user more or less (the binomial taken for a Gaussian): epsilon = "
               f"{few(guarantee(spent / M, delta))} at delta = {delta:g}. {said}")
        width, level = world.sent.width, range(kappa)
        sizes = [part.batch * M << i for i in level]
        each = [bits(n, world.net.dimension, e / kappa**0.5, delta) for n in sizes]
        times = [(world.rounds >> i) + 1 >> 1 for i in level]   # nodes of a level that are sent
        total = sum(t * n * width * k for t, n, k in zip(times, sizes, each, strict=True)) / 8
        yield (f"a user's message is {width} numbers of {min(each)} to {max(each)} bits, sent once for each of its "
               f"nodes: {total / 1e6:.3g} MB from users to the shuffler in the run, beside the sums that are billed")
    else:
        yield (f"{nodes}, so that all that a silo sends is {spent:.3g}-zCDP for one user more or less: epsilon = "
               f"{few(guarantee(spent, delta))} at delta = {delta:g}, whoever sees it. {said}")
    if part.privacy == "shuffle":
        top, node = amplifies_up_to(M, delta), guarantee(spent / kappa, delta)
        yield (f"a shuffler among {M} silos: the closed form covers messages of epsilon up to {max(top, 0):.3g}"
               + (" (none)" if top <= 0 else "") + f", and one message has {node:.3g}; "
               + ("so no amplification is proven, and the figure for a silo alone is what holds" if node > top else
                  f"pure reports of that would come down to {shuffled(node, M, delta):.3g} each")
               + f". Were only the sum of all {M} silos seen, as with secure aggregation, epsilon would be "
                 f"{few(guarantee(spent / M, delta))}")
    yield (f"the regulariser must outweigh the noise of all {M} silos: lambda = {part.ridge(world, M):.4g}. Counting "
           f"that of one silo (our reading of the count that the paper corrects) gives {part.ridge(world, 1):.4g}")
    yield (f"rewards beyond {part.bound:g} are cut to it, and features longer than 1 to 1: no epsilon holds otherwise. "
           "Noise that follows from the seed demonstrates the mechanism and protects nobody")
    if part.fresh:
        yield ("what a user changes in the choices for the rest of its batch, inside its silo, is not counted, as in "
               "the paper; with local.fresh = false it changes nothing but its own part of the sums")
    yield OUTSIDE


def few(epsilon: float) -> str:
    """
    >>> few(0.0), few(2.811)
    ('0 (delta alone covers it)', '2.81')
    """
    return f"{epsilon:.3g}" if epsilon > 0 else "0 (delta alone covers it)"


def figures(part, plan, state) -> dict[str, float]:
    """Regret so far, and how far the synchronised matrix is from being no sum of squares any more."""
    world, regret = plan.world, each(plan, state)
    matrix = world.layout.views(state.model)["gram"][world.net.places.to(state.model.device)].double()
    return {"regret": float(regret.sum()) / max(1, world.clients * part.batch * state.round),
            "regret_in_all": float(regret.sum()),
            "least_eigenvalue": float(torch.linalg.eigvalsh(matrix)[0])}


def each(plan, state) -> torch.Tensor:
    """The regret of each silo so far, summed over its users [N]."""
    return state.memory["local"].own["regret"].gather(torch.arange(plan.world.clients))[:, 0].double().cpu()


def views(part, plan, state) -> dict[str, View]:
    silos, t = each(plan, state) / max(1, part.batch * state.round), state.round
    return {
        "regret": View("lines", "Regret a user, on average so far",
                       "how much more reward the best arm would have brought; it falls as theta becomes known",
                       labels=("all silos", "the luckiest silo", "the unluckiest silo"),
                       values=(float(silos.mean()), float(silos.min()), float(silos.max()))),
        "nodes": View("tree", f"Nodes in what is known after synchronisation {t}",
                      "each silo sends one node a synchronisation, with noise of its own; what is known is the sum of "
                      "one node for each binary digit of the number of synchronisations; of levels with many nodes "
                      "only these are shown",
                      values=tuple(tree(plan.world.rounds, t)))}
