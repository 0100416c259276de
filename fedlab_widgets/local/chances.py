"""How often each shared direction is drawn: evenly, or by how much the loss used to change along it."""

import torch
from torch import Tensor

from .. import seeds
from ..types import Memory, View

FAR = 1000.0   # a slope counts for no more than this in the history
SHOWN = 8      # directions whose sums are drawn


def chances(size: Tensor) -> Tensor:
    """The chances [K] of directions whose slopes had the mean size [K]: softmax of the sizes, stretched to 0 .. 1. So
    none is more than e times as likely as another.

    >>> chances(torch.tensor([0.0, 2.0, 2.0])).tolist()
    [0.15536..., 0.4223..., 0.4223...]
    """
    low, high = size.min(), size.max()
    return torch.softmax((size - low) / (high - low) if high > low else torch.zeros_like(size), 0)


def drawn(keys: Tensor, steps: int, K: int, chance: Tensor | None) -> Tensor:
    """The numbers [C, steps] of the directions that clients with keys [C] walk along, with replacement, evenly or with
    chances [K] or [C, K]. Each client's depend on its key and chances alone."""
    if chance is None:
        return seeds.integers(keys, steps, K)
    u = seeds.uniforms(keys, steps, torch.float64)
    upto = chance.double().cumsum(-1).expand(len(keys), K).contiguous()
    return torch.searchsorted(upto, u * upto[:, -1:], right=True).clamp(max=K - 1)


def learnt(mine: Memory, size: Tensor, visited: Tensor, count: float) -> Memory:
    """The history after a round: from the means over `count` clients of the size [K] of their slopes along a direction
    (0 where they did not visit it), and of whether they did [K].

    A history begins with one slope of 0, as in the released code: a direction that nobody has visited is as likely as
    one that leads nowhere, and one visit does not make it the most likely.
    """
    sizes = mine.shared["server sizes"] + count * size
    visits = mine.shared["server visits"] + count * visited
    return Memory(mine.own, mine.shared | {"server sizes": sizes, "server visits": visits,
                                           "chances": chances(sizes / (1 + visits))})


def pictures(known: dict[str, Tensor]) -> dict[str, View]:
    """Live readings of the sums A [K] of slopes along shared directions, and of the chances [K] with which these are
    drawn, where they differ."""
    total, chance = known["total"], known.get("chances")
    some, shares = total[:SHOWN].tolist(), {"used so far": float((total != 0).double().mean())}
    if chance is not None:
        shares["least likely to most likely"] = float(chance.min() / chance.max())
    return {
        "sums of slopes": View(
            "lines", "Sums of slopes", "How far the model has gone along some of the shared directions: its start and "
            f"all {len(total):,} such numbers are the whole model.", tuple(f"direction {k}" for k in range(len(some))),
            tuple(some)),
        "directions used": View(
            "lines", "Share of directions used", "How many of the shared directions any client has walked along"
            + (", and how much less likely the least likely is drawn than the most likely (1/e at the least)."
               if "least likely to most likely" in shares else "."), tuple(shares), tuple(shares.values()))}
