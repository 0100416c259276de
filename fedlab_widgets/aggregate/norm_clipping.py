from pydantic import Field

from ..part import part
from . import rows
from .before import Before


@part
class NormClipping(Before):
    """Shorten rows that are too long, then combine them (by default: average).

    combine: rows [C, D], each times min(1, bound / |row|), go to the rule `then` with their weights. Without a bound it
    is the median length of the round's rows. Bounds how far any number of liars can push, and turns nobody away: a
    short lie passes. Without a bound it holds all C D numbers twice, with one what `then` holds.
    Raises BadInput for a bound out of range.
    Source: Sun et al., Can You Really Backdoor Federated Learning?, arXiv 1911.07963 (2019), without its noise.
    """

    bound: float | None = Field(None, gt=0, le=1e9, description="longest row; the median length when empty")

    @property
    def by_row(self):
        return self.bound is not None

    def mix(self, world, x, weights, cohort):
        lengths = rows.norms(x)
        scale = rows.shrink(lengths, rows.middle(lengths) if self.bound is None else self.bound)
        return x.mul_(scale[:, None].to(x)), weights
