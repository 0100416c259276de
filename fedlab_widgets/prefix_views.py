"""How good a list of heavy hitters is, and the tree of prefixes that leads to it."""

from __future__ import annotations

import torch
from torch import Tensor

from .prefixes import listed, numbers
from .types import View

SHOWN = 64


def truth(data) -> Tensor:
    """The heavy hitters of the task [k] int64, the most frequent first; of equals the smaller."""
    found, times = numbers(data.x[data.y == 1].flatten(1)).unique(return_counts=True)
    return found[times.argsort(descending=True, stable=True)]


def scores(found: Tensor, true: Tensor) -> dict[str, float]:
    """F1 of a list against the true one [k], and its normalised cumulative rank: the first of k counts k, the last 1.

    >>> scores(torch.tensor([7, 9]), torch.tensor([7, 8]))
    {'f1': 0.5, 'ncr': 0.6666666666666666}
    """
    k, hit = len(true), torch.isin(true, found)
    rank = torch.arange(k, 0, -1, device=true.device)
    return {"f1": 2 * int(hit.sum()) / max(k + len(found), 1), "ncr": int((rank * hit).sum()) / max(k * (k + 1) / 2, 1)}


def figures(part, plan, state) -> dict[str, float]:
    """f1 and ncr of the list (of prefixes against those of the true items), the candidates that parties asked their
    users about in this round, on average, and the bits that a user sent."""
    world = plan.world
    prefix, length = listed(world, state.model[None])
    true, bits = truth(world.data), world.net.bits.shape[-1]
    begin = true >> (bits - length)
    first = torch.tensor([i for i, p in enumerate(begin.tolist()) if p not in begin[:i].tolist()], dtype=torch.int64)
    asked = state.memory["local"].own["asked"].gather(torch.arange(world.clients))[:, 0]
    came = asked[asked > 0]
    bits = part.oracle.bits(came + 1, part.epsilon)
    kept = prefix[prefix >= 0] if int(length) else prefix[:0, 0]   # the root alone tells nothing
    return scores(kept, begin[first.to(begin.device)]) | {
        "candidates": float(came.double().mean()) if len(came) else 0.0,
        "user_bits": float(bits.double().mean()) if len(came) else 0.0}


def shows(part, plan, state) -> dict[str, View]:
    """Every prefix that what is kept now begins with, by level, and how many of the lists at hand have it."""
    world, bits = plan.world, plan.world.net.bits.shape[-1]
    prefix, length = listed(world, state.model[None])
    own = state.memory["local"].own
    some = torch.arange(min(world.clients, SHOWN))
    theirs, ahead = own["list"].gather(some), own["length"].gather(some)[:, 0]
    further = [(p, int(n)) for p, n in zip(theirs, ahead, strict=True) if int(n) > int(length)]
    lists = further or [(prefix[0], int(length))]
    nodes: dict[tuple[int, int], int] = {}
    for known, n in lists:
        for level in range(part.step, n + 1, part.step):
            for p in (known[known >= 0] >> (n - level)).unique().tolist():
                nodes[level, p] = nodes.get((level, p), 0) + 1
    tree = tuple((bits - level, (p << bits - level) + 1, p + 1 << bits - level, on / len(lists))
                 for (level, p), on in sorted(nodes.items()))
    found = figures(part, plan, state)
    scored = View("lines", "Heavy hitters found", "of the prefixes that are kept, against those of the true items: F1, "
                  "and NCR, where the more frequent ones count more", ("F1", "NCR"), (found["f1"], found["ncr"]))
    return {"found": scored} | {"tree": View("tree", "prefixes that are kept",
                         "a box is all items that begin with a prefix, level by level of bits still unknown; the more "
                         "parties keep it, the darker", labels=("items",), values=tree)} if tree else {}
