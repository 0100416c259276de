"""The users of parties: dealt into groups, each of which is asked in one round only, and what their reports tell."""

import torch
from torch import Tensor

from .. import seeds
from ..prefixes import Candidates, numbers


def answers(part, world, cohort, found: Candidates, tamper) -> tuple[Tensor, Tensor, Tensor]:
    """What the users of a round say about the candidates found: how many of all users of their party have each,
    estimated [C, E]; the variance of an estimate for what nobody has [C]; the share of users that have none [C]."""
    bits, most, eps = world.net.bits.shape[-1], found.prefix.shape[1], part.epsilon
    items, there, keys = group(part, world, cohort, tamper)
    d, n = found.count + 1, there.sum(1)   # one more: none of these
    place = found.place(items >> (bits - part.due(cohort.round)))
    counts = part.oracle.ask(place, there, d, eps, keys, int(d.max()))
    counts = torch.nn.functional.pad(counts, (0, most + 1 - counts.shape[1]))
    users = cohort.sizes.to(n.device)
    scale = users / n.clamp(min=1)
    estimate = part.oracle.estimate(counts, n, d, eps) * scale[:, None]
    unlisted = estimate.gather(1, found.count[:, None])[:, 0] / users.clamp(min=1)
    return (torch.where(found.prefix >= 0, estimate[:, :most], 0), part.oracle.variance(n, d, eps) * scale**2, unlisted)


def group(part, world, cohort, tamper) -> tuple[Tensor, Tensor, Tensor]:
    """The users who report in a cohort's round: items [C, m] int64, who is really there [C, m], a key each [C, m].

    The deal is the same in all rounds, and a round takes one user in `levels`: nobody is asked twice, so that each
    may spend the whole epsilon.
    """
    levels, shards = world.net.bits.shape[-1] // part.step, world.shards
    order = seeds.permutations(world.keys("groups", 0, cohort.ids), shards.largest, cohort.sizes)
    place = torch.arange(cohort.round - 1, max(shards.largest, cohort.round), levels)
    there = place < cohort.sizes[:, None]
    user = torch.where(there, order[:, place.clamp(max=shards.largest - 1)], 0)
    x, y = shards.gather(torch.where(there, shards.offsets[cohort.ids, None] + user, 0).to(world.device))
    if tamper is not None:
        x, _ = tamper(x, y, torch.arange(len(x), device=x.device))
    keys = seeds.fold(world.keys("reports", 0, cohort.ids)[:, None], user)
    return numbers(x.flatten(2)), there.to(world.device), keys
