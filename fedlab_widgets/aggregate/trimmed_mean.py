from typing import ClassVar

from pydantic import Field

from ..part import part
from ..slots import Aggregate
from ..types import Kind
from . import liars, rows


@part
class TrimmedMean(Aggregate):
    """Average every column without its largest and its smallest values.

    finish: rows [C, D] -> [D]: of each column the f smallest and the f largest values go, the rest is averaged. Up to f
    liars a round are tolerated, and 2 f + 1 rows are needed; of fewer, as many are cut as leave one. Weights are not
    used. Holds all C D numbers twice. Raises BadInput for f out of range, too few rows, too many liars.
    Source: Yin et al., Byzantine-Robust Distributed Learning, ICML 2018, which cuts a share of the rows.
    """

    tag = "robust to liars"
    takes: ClassVar = frozenset({Kind.VALUES, Kind.RANKS})
    room: ClassVar = (2, 1)

    f: int = Field(2, ge=0, le=100_000, description="liars tolerated in a round: so many are cut at either end")

    def finish(self, total, weights, expected):
        x = rows.gathered(total)
        cut = liars.fits(self, len(x))
        return rows.by_column(x, lambda columns: columns[:, cut:len(x) - cut].mean(1))

    def warning(self, count):
        return liars.small(self, count)

    def lacks(self, plan):
        return liars.lacking(self, plan)
