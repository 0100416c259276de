"""The virtual clock: how long each client works on a model, and when what arrives.

A unit is what the slowest ordinary client takes. Times are whole billionths of it (`BEAT` to a unit), so that sums are
exact and clients that finish together do so on every machine.
"""

from __future__ import annotations

import heapq
from functools import lru_cache
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from .. import seeds
from ..types import World

BEAT = 10**9
NEAR = 1e-6   # of a tick: what a quotient may miss a whole number by and still be one (0.6 / 0.2)

# The fields of every schedule that keeps time.
Spread = Annotated[float, Field(ge=0, le=0.99, description=(
    "by how much the fastest client is faster than the slowest, others evenly between (0.8: it takes a fifth)"))]
Slow = Annotated[float, Field(ge=0, le=1, description="share of clients in the slow tail")]
SlowFactor = Annotated[float, Field(ge=1, le=1000, description="times as long that the slow tail takes")]


def ranked(clients: int, spread: float, slow: float, slow_factor: float) -> Tensor:
    """Durations [N] in units (float64) by rank: tau_i = 1 - spread i / (N - 1), and `slow_factor` times that for
    round(slow N) ranks, evenly apart, so that what a mean client takes depends on no seed.

    Source: Fraboni et al., JMLR 24, 2023, and their released code (tau_i, scenario F-x); the slow tail is ours.

    >>> ranked(5, 0.8, 0.2, 5.0).tolist()
    [1.0, 0.8, 3.0, 0.3999999999999999, 0.19999999999999996]
    """
    units = 1 - spread * torch.arange(clients, dtype=torch.float64) / max(clients - 1, 1)
    tail = round(slow * clients)
    at = ((torch.arange(tail, dtype=torch.float64) + 0.5) * clients / max(tail, 1)).long()
    units[at] *= slow_factor
    return units


@lru_cache(maxsize=8)
def _dealt(seed: int, clients: int, *speeds: float) -> Tensor:
    """By a seeded permutation, not by id: partitions may order clients by what they hold."""
    order = seeds.permutations(seeds.keys(seed, "speeds", 0, 0), clients)
    return ranked(clients, *speeds)[order]


def durations(world: World, p) -> Tensor:
    """What one piece of work takes each client [N], in units, for a schedule with the fields of this module."""
    return _dealt(world.seed, world.clients, p.spread, p.slow, p.slow_factor)


def longest(world: World, p, ids: Tensor) -> float:
    """What the slowest of clients ids [C] takes, in units: how long a round in step lasts; 1 where nobody reports."""
    if not len(ids) or not (p.spread or p.slow):
        return 1.0
    return float(durations(world, p)[ids].max())


def beats(units: Tensor) -> Tensor:
    return (units * BEAT).round().long()


def ticks(units: Tensor, every: float) -> Tensor:
    """After how many ticks [N] work of these durations [N] is there: ceil(tau / every), whole quotients kept whole.

    >>> ticks(torch.tensor([0.6, 0.61, 0.05]), 0.2).tolist()
    [3, 4, 1]
    """
    return (units.double() / every - NEAR).ceil().clamp(min=1).long()


def first(finish: Tensor, size: int) -> Tensor:
    """The ids [size], ascending, of the first to finish; of those who finish together the lower ids. O(N)."""
    last = finish.topk(size, largest=False).values.max()   # quicker than kthvalue where few of many come
    before, tied = (finish < last).nonzero()[:, 0], (finish == last).nonzero()[:, 0]
    return torch.cat([before, tied[:size - len(before)]]).sort().values


@lru_cache(maxsize=8)
def _arrivals(seed: int, clients: int, size: int, rounds: int, power: float, *speeds: float) -> tuple[Tensor, Tensor]:
    work = beats(_dealt(seed, clients, *speeds)).tolist()
    heap, version = [(w, i) for i, w in enumerate(work)], [0] * clients
    heapq.heapify(heap)
    count, discounted = torch.zeros(2, clients, dtype=torch.float64).tolist()
    for n in range(1, rounds + 1):
        came = [heapq.heappop(heap) for _ in range(size)]
        for _, i in came:
            count[i] += 1
            discounted[i] += (n - version[i]) ** -power   # 1 + staleness, which is n - 1 - version
            version[i] = n
            heapq.heappush(heap, (came[-1][0] + work[i], i))
    return (torch.tensor(count, dtype=torch.float64) / rounds, torch.tensor(discounted, dtype=torch.float64) / rounds)


def arrivals(world: World, p, size: int, power: float) -> tuple[Tensor, Tensor]:
    """How often each client comes a round, and the same with each time counted (1 + staleness) ** -power: [N], [N].

    From playing the run's schedule through: nothing in it is drawn. Rounds of `size` arrivals, O(rounds size log N).
    """
    return _arrivals(world.seed, world.clients, size, world.rounds, power, p.spread, p.slow, p.slow_factor)
