import torch
from pydantic import Field

from ..part import part
from ..slots import Sampler


@part
class ComeAndGo(Sampler):
    """Ask everybody who is there: some clients join late and some leave early, again in every period of rounds.

    draw: positions [m] of round t, with t' = (t - 1) mod period + 1: the last round(late N) of N positions are there
    from t' = join on, the first round(early N) up to t' = leave, the others always; at a cost of O(m). rate is the mean
    over a period, which begins with the first round. Give the rounds of the run as the period for a single coming and
    going. Nothing is left to chance, so no accountant may assume anything.
    Raises BadInput for fields out of range. Source: none; machines that may come and go in Zelikman et al., Just One
    Byte (per gradient), 2023 (arXiv 2306.10015).
    """

    certain = False

    period: int = Field(60, ge=1, le=1_000_000, description="rounds after which all begins anew")
    late: float = Field(0.2, ge=0, le=0.5, description="share of clients that join late: those with the highest ids")
    join: int = Field(20, ge=1, le=1_000_000, description="round of a period from which on the late ones are there")
    early: float = Field(0.2, ge=0, le=0.5, description="share of clients that leave early: those with the lowest ids")
    leave: int = Field(40, ge=1, le=1_000_000, description="last round of a period in which these are there")

    def _few(self, eligible: int) -> tuple[int, int]:
        """How many join late and leave early: never all."""
        late = round(self.late * eligible)
        return late, min(round(self.early * eligible), eligible - 1 - late) if late < eligible else 0

    def draw(self, eligible, round, key):
        t, (late, early) = (round - 1) % self.period + 1, self._few(eligible)
        return torch.arange(early if t > self.leave else 0, eligible - (late if t < self.join else 0))

    def rate(self, eligible):
        late, early = self._few(eligible)
        away = late * min(self.join - 1, self.period) + early * max(self.period - self.leave, 0)
        return 1 - away / (eligible * self.period)

    def sampling(self, eligible):
        return None
