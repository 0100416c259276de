import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..privatise.accountant import Everyone, FixedSampling, InTurnSampling, PoissonSampling
from ..slots import Sampler


@part
class Full(Sampler):
    """Ask every client, every round.

    draw: all positions [m]; rate 1. No privacy amplification. Raises nothing of its own. Source: textbook.
    """

    def draw(self, eligible, round, key):
        return torch.arange(eligible)

    def rate(self, eligible):
        return 1.0

    def sampling(self, eligible):
        return Everyone()


@part
class Fixed(Sampler):
    """Ask m clients, drawn without replacement.

    draw: positions [m], at a cost of O(m); more than there are asks everyone.
    Raises BadInput for m below 1. Source: McMahan et al., AISTATS 2017, Algorithm 1.
    """

    m: int = Field(10, ge=1, le=1_000_000, description="clients asked in each round")

    def draw(self, eligible, round, key):
        return seeds.subset(key, eligible, min(self.m, eligible))

    def rate(self, eligible):
        return min(self.m, eligible) / eligible

    def sampling(self, eligible):
        return Everyone() if self.m >= eligible else FixedSampling(self.m, eligible)


@part
class Poisson(Sampler):
    """Let every client join with probability q, independently: the sampling that privacy accounting is best at.

    draw: positions [m], m binomial (it may be 0), at a cost of O(m), as a binomial draw and a uniform subset. When more
    than `cap` would come, a uniformly drawn `cap` of them do, and the accountant is told.
    Raises BadInput for q outside (0, 1]. Source: McMahan et al., ICLR 2018, Algorithm 1.
    """

    certain = False

    q: float = Field(0.1, gt=0, le=1, description="chance of each client to join a round")
    cap: int | None = Field(None, ge=1, le=1_000_000, description="clients that come at most; no cap when empty")

    def draw(self, eligible, round, key):
        count = min(seeds.binomial(key, eligible, self.q), self.cap or eligible)
        return seeds.subset(seeds.fold(key, 1), eligible, count)

    def rate(self, eligible):
        cap, q = self.cap, self.q
        if cap is None or cap >= eligible:
            return q
        from scipy.stats import binom  # slow to import

        # E min(X, cap) for X ~ Bin(n, q) is n q P(Bin(n - 1, q) < cap - 1) + cap P(X >= cap).
        return float(q * binom.cdf(cap - 2, eligible - 1, q) + cap / eligible * binom.sf(cap - 1, eligible, q))

    def sampling(self, eligible):
        if self.cap is not None and self.cap < eligible:
            return PoissonSampling(self.q, self.cap, eligible)
        return Everyone() if self.q == 1 else PoissonSampling(self.q)


@part
class InTurn(Sampler):
    """Let clients come in a fixed order, each once before anybody comes again: how often is known, nothing is chance.

    draw: positions [m] of round t: those that are t - 1 modulo b = ceil(N / size), so that cohorts differ by one client
    at most, and each client comes exactly once in b rounds: ceil(T / b) times at most in T. No privacy amplification;
    correlated noise needs to know how often clients come, and needs no chance. Raises BadInput for a size below 1.
    Source: the fixed order of Kairouz et al., ICML 2021 (arXiv 2103.00039; remembered); dealt out modulo b, ours.
    """

    certain = False   # cohorts differ by one client where b does not divide N

    size: int = Field(10, ge=1, le=1_000_000, description="clients asked in each round, at most")

    def separation(self, eligible: int) -> int:
        """b, the rounds from one turn of a client to its next."""
        return -(-eligible // self.size)

    def draw(self, eligible, round, key):
        b = self.separation(eligible)
        return torch.arange((round - 1) % b, eligible, b)

    def rate(self, eligible):
        return 1 / self.separation(eligible)

    def sampling(self, eligible):
        b = self.separation(eligible)
        return Everyone() if b == 1 else InTurnSampling(b)
