from typing import ClassVar

import torch
from pydantic import Field

from ..part import part
from ..slots import Aggregate
from . import liars, rows


@part
class Bulyan(Aggregate):
    """Choose rows by Krum, one after another, then average what is near the median in every column.

    finish: rows [C, D] -> [D]. Krum is asked C - 2 f times, each time among the rows that are left (and so of fewer
    neighbours, one at least); of every column of the chosen rows the C - 4 f values nearest to its median are averaged.
    Up to f liars a round are tolerated, and 4 f + 3 rows are needed; of fewer, f is lowered to what they allow; with
    f = 0 it is the mean. Weights are not used. Holds all C D numbers three times, and C^2 distances in float64.
    Raises BadInput for f out of range, too few rows, too many liars.
    Source: El Mhamdi et al., The Hidden Vulnerability of Distributed Learning in Byzantium, ICML 2018.
    """

    tag = "robust to liars"
    room: ClassVar = (4, 3)
    smooth: ClassVar = False   # of two rows with one score, rounding says which is chosen

    f: int = Field(1, ge=0, le=100_000, description="liars tolerated in a round")

    def finish(self, total, weights, expected):
        x, f = rows.gathered(total), liars.fits(self, sum(map(len, total)))
        if f == 0:
            return x.mean(0)
        chosen = selected(rows.squared_distances(x), len(x) - 2 * f, f)
        return rows.by_column(x[chosen], lambda columns: around_median(columns, len(x) - 4 * f))

    def warning(self, count):
        return liars.small(self, count)

    def lacks(self, plan):
        return liars.lacking(self, plan)


def selected(apart: torch.Tensor, count: int, f: int) -> torch.Tensor:
    """The rows [count] that Krum keeps one after another, from the squared distances [C, C] of all.

    Distances are sorted once; whoever was chosen is passed over. One after another is the definition, so it is a loop.
    """
    apart, who = apart.sort(dim=1)
    apart, who = apart[:, 1:], who[:, 1:]   # the first is the row's own, zero
    left, chosen = torch.ones(len(apart), dtype=torch.bool, device=apart.device), []
    for size in range(len(apart), len(apart) - count, -1):
        here = left[who]
        near = here & (here.cumsum(1) <= max(1, size - f - 2))
        score, far = torch.where(near, apart, 0.0).sum(1), torch.where(here, apart, 0.0).sum(1)
        best = rows.lowest(torch.where(left, score, torch.inf), far)[0]
        chosen.append(best)
        left[best] = False
    return torch.stack(chosen)


def around_median(columns: torch.Tensor, count: int) -> torch.Tensor:
    """Of ascending columns [W, n] the mean [W] of the `count` values nearest to the median: they stand side by side.

    >>> around_median(torch.tensor([[0.0, 4.0, 5.0, 7.0, 20.0]]), 3).tolist()   # the median is 5
    [5.333333492279053]
    """
    n = columns.shape[1]
    median = (columns[:, (n - 1) // 2] + columns[:, n // 2])[:, None] / 2
    reach = torch.maximum(median - columns[:, :n - count + 1], columns[:, count - 1:] - median)
    first = reach.argmin(1, keepdim=True)
    place = torch.arange(n, device=columns.device)
    return torch.where((place >= first) & (place < first + count), columns, 0.0).sum(1) / count
