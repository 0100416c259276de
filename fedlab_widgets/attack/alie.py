from statistics import NormalDist

from pydantic import Field

from ..part import part
from .colluding import Colluding, deviation


@part
class ALIE(Colluding):
    """Liars stay within what honest rows scatter, all on the same side ("a little is enough").

    Access: all honest rows. lie: rows [C, D], bad [C] -> mean - z * standard deviation of the honest rows, by column,
    where bad. z follows from the round: with m liars among n rows, s = floor(n / 2 + 1) - m honest rows must be further
    away than the lie for it to be among the nearer half, so that z is the normal quantile of (n - m - s) / (n - m)
    (s is kept between a half and n - m - 1/2: z is finite). It is below zero for few liars, 0 with 2 in 10, 1.43 with
    24 in 50; a z may be given instead. Raises BadInput for fields out of range and where all clients lie.
    Source: Baruch, Baruch, Goldberg, A Little Is Enough, NeurIPS 2019. There liars know no rows but their own and
    estimate mean and deviation from those; here they are given the true ones of the round, as in most comparisons.
    """

    z: float | None = Field(None, gt=0, le=1000,
                            description="deviations from the mean; from the numbers of clients and liars when empty")

    def craft(self, honest, count):
        z = quantile(count, count - len(honest)) if self.z is None else self.z
        return honest.mean(0) - z * deviation(honest)


def quantile(n: int, m: int) -> float:
    """The z that m liars of n rows may take.

    >>> round(quantile(50, 24), 4), quantile(10, 2)   # of 24 / 26, and of 4 / 8
    (1.4261, 0.0)
    """
    honest = n - m
    s = min(max(n // 2 + 1 - m, 0.5), honest - 0.5)
    return NormalDist().inv_cdf((honest - s) / honest)
