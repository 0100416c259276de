"""Prefixes as whole numbers, and lists of them as the net PrefixTree and rows on the wire hold them.

A prefix of l bits is a number 0 .. 2^l - 1. A list [C, W] has its prefixes first, the most frequent one foremost, and
NONE in places that are not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NONE = -1
LAST = 2**62   # after every prefix


def numbers(bits: Tensor) -> Tensor:
    """bits [..., M] above or below 1/2, the highest first -> [...] int64.

    >>> numbers(torch.tensor([1.0, 0.0, 1.0]))
    tensor(5)
    """
    return ((bits > 0.5).long() << _places(bits.shape[-1], bits)).sum(-1)


def as_bits(numbers: Tensor, count: int, like: Tensor) -> Tensor:
    """numbers [...] int64 -> their lowest `count` bits [..., count], the highest first, in the type of `like`."""
    return (numbers[..., None] >> _places(count, numbers) & 1).to(like)


def _places(count: int, like: Tensor) -> Tensor:
    return torch.arange(count - 1, -1, -1, device=like.device)


def listed(world, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [C, P] of the net PrefixTree -> (its list [C, W], bits of its prefixes [C]).

    An empty list of 0 bits is that of the root: one prefix, which begins everything.
    """
    tensors = world.layout.views(rows)
    used = tensors["length"].round().long().clamp(0, tensors["bits"].shape[-1])
    length, bits = used.amax(-1), numbers(tensors["bits"])
    prefix = torch.where(used > 0, bits >> (tensors["bits"].shape[-1] - used), NONE)
    root = torch.full_like(prefix, NONE)
    root[:, 0] = 0
    return torch.where(length[:, None] == 0, root, prefix), length


def as_weights(world, prefix: Tensor, length: int, estimate: Tensor) -> Tensor:
    """The list [W] with estimates [W] as weights [P] of the net."""
    bits, used = world.net.bits.shape[-1], prefix >= 0
    whole = as_bits(torch.where(used, prefix << (bits - length), 0), bits, estimate)
    return world.layout.rows({"bits": whole[None], "length": (used * float(length))[None].to(estimate),
                              "estimate": torch.where(used, estimate, 0)[None]})[0]


@dataclass(frozen=True)
class Candidates:
    """What users of C parties are asked about: the prefixes of their list, each with `more` [C] bits put after it.

    parents [C, W] ascending, LAST where there is none; prefix [C, E] ascending, NONE from column count[c] on.
    """

    parents: Tensor
    more: Tensor
    count: Tensor
    prefix: Tensor

    @classmethod
    def of(cls, prefixes: Tensor, more: Tensor, most: int) -> Candidates:
        """The foremost prefixes of the list [C, W], as many as `most` columns can hold when they are extended."""
        place = torch.arange(prefixes.shape[1], device=prefixes.device)
        known = (prefixes >= 0) & (place < most >> more[:, None])
        parents = torch.where(known, prefixes, LAST).sort(1).values
        count, column = known.sum(1) << more, torch.arange(most, device=prefixes.device)
        parent = parents.gather(1, (column >> more[:, None]).clamp(max=prefixes.shape[1] - 1))
        prefix = parent << more[:, None] | column & (1 << more[:, None]) - 1
        return cls(parents, more, count, torch.where(column < count[:, None], prefix, NONE))

    def place(self, prefix: Tensor) -> Tensor:
        """Where prefixes [C, m] of users stand among the candidates; their number, count[c], for those that do not."""
        more = self.more[:, None]
        at = torch.searchsorted(self.parents, prefix >> more).clamp(max=self.parents.shape[1] - 1)
        there = self.parents.gather(1, at) == prefix >> more
        return torch.where(there, at << more | prefix & (1 << more) - 1, self.count[:, None])


def extended(prefix: Tensor, estimate: Tensor, above: Tensor, least: int, width: int) -> tuple[Tensor, Tensor]:
    """The new list: of candidates prefix [C, E] those with an estimate [C, E] over `above` [C], but at least the
    `least` highest and at most `width`. Returns (list [C, width], its estimates), the highest first."""
    known = torch.where(prefix >= 0, estimate, -torch.inf)
    order = known.argsort(dim=1, descending=True, stable=True)[:, :width]
    best = known.gather(1, order)
    place = torch.arange(best.shape[1], device=best.device)
    kept = ((best > above[:, None]) | (place < least)) & (best > -torch.inf)
    return (_wide(torch.where(kept, prefix.gather(1, order), NONE), width, NONE),
            _wide(torch.where(kept, best, 0), width, 0))


def _wide(rows: Tensor, width: int, fill: int) -> Tensor:
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]), value=fill)
