"""How much privacy a run has spent: epsilon for central, client-level differential privacy.

As in DP-FedAvg (McMahan, Ramage, Talwar, Zhang 2018; remembered) each client's whole update is clipped to
length C, the updates are summed, and Gaussian noise of standard deviation ``noise_multiplier * C`` is added
to the *sum*, which is then divided by a number fixed beforehand. What is protected is one client with all it
holds. Adaptive clipping (Andrew et al. 2021) splits its noise so that both releases cost one such Gaussian.

Every number comes from Google's ``dp-accounting`` (checked against its source and against stored values).
How clients come to a round decides which accountant applies; what none supports raises ValueError.

>>> Ledger(PoissonSampling(0.1), noise_multiplier=1.0, delta=1e-5).epsilon(100)   # doctest: +ELLIPSIS
7.0466...
>>> round(Ledger(FixedSampling(100, 1000), noise_multiplier=2.0, delta=1e-5).epsilon(100), 2)
14.05
"""
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from numbers import Integral, Real

import numpy as np

FINE = 1e-4         # width of the privacy-loss bins behind a reported Poisson epsilon
LEAST_NOISE = 0.01  # below it epsilon is in the thousands
HOPELESS = 600.0    # beyond it exp(-epsilon) underflows inside the library: reported as inf


def _require(good, field, value, allowed, remedy):
    if not good:
        raise ValueError(f"{field} is {value!r} but must be {allowed}; {remedy}.")


def _require_whole(field, value, low, remedy, high=math.inf):
    _require(isinstance(value, Integral) and low <= value <= high, field, value,
             f"a whole number from {low} to {high}".replace(" to inf", " up"), remedy)


@dataclass(frozen=True)
class PoissonSampling:
    """Every client joins a round independently with probability ``q``; neighbours: one client more or less.

    ``cap`` and ``population`` (clients, both or neither) truncate: of more than ``cap`` arrivals among the
    ``population``, a uniformly random ``cap`` stay. ``q == 1`` without a cap is :class:`Everyone`.
    """
    q: float
    cap: int | None = None
    population: int | None = None

    def __post_init__(self):
        _require(isinstance(self.q, Real) and 0 < self.q <= 1, "q", self.q, "above 0 and at most 1",
                 "use expected cohort / population")
        if (self.cap, self.population) != (None, None):
            _require_whole("population", self.population, 1, "a capped cohort needs the number of clients")
            _require_whole("cap", self.cap, 1, "5 standard deviations above q * N is free", self.population)


@dataclass(frozen=True)
class FixedSampling:
    """Exactly ``cohort`` of ``population`` clients, without replacement; neighbours: one client *replaced*.

    Then the sum can move by 2C, and only the loose Renyi bound of Wang, Balle, Kasiviswanathan 2019 is
    supported: epsilon is several times that of Poisson sampling. All of them is :class:`Everyone`.
    """
    cohort: int
    population: int

    def __post_init__(self):
        _require_whole("population", self.population, 1, "give the number of clients")
        _require_whole("cohort", self.cohort, 1, "it cannot exceed the population", self.population)


@dataclass(frozen=True)
class InTurnSampling:
    """Each client at most once in any ``separation`` consecutive rounds, known beforehand: no amplification.

    In T rounds a client comes at most ceil(T / separation) times; neighbours: one client more or less.
    """
    separation: int

    def __post_init__(self):
        _require_whole("separation", self.separation, 1, "1 is everyone in every round")


@dataclass(frozen=True)
class Everyone:
    """All clients, or clients that do not come at random: nobody is hidden; neighbours: one more or less."""


@dataclass(frozen=True)
class Ledger:
    """The privacy account of a run: a pure function of its fields, so a resumed run reports the same.

    ``noise_multiplier`` is noise std / clip length; ``delta`` the chance that the epsilon bound may fail.
    """
    sampling: PoissonSampling | FixedSampling | InTurnSampling | Everyone
    noise_multiplier: float
    delta: float

    def __post_init__(self):
        z, kinds = self.noise_multiplier, (PoissonSampling, FixedSampling, InTurnSampling, Everyone)
        _require(isinstance(self.sampling, kinds), "sampling", self.sampling,
                 ", ".join(kind.__name__ for kind in kinds), "count any other selection as Everyone()")
        _require(isinstance(z, Real) and (z == 0 or LEAST_NOISE <= z < math.inf), "noise_multiplier", z,
                 f"0 (no noise) or a finite number of at least {LEAST_NOISE}", "1 is a common start")
        _require(isinstance(self.delta, Real) and 0 < self.delta < 1, "delta", self.delta,
                 "between 0 and 1, both excluded", "use well under 1 / clients, see suggested_delta")

    @property
    def relation(self) -> str:
        """What neighbouring means here, in words."""
        fixed = isinstance(_plain(self.sampling), FixedSampling)
        return "replace one client" if fixed else "add or remove one client"

    @property
    def method(self) -> str:
        """Which accountant speaks, in words."""
        match _plain(self.sampling):
            case FixedSampling(cohort, population):
                return f"RDP, {cohort} of {population} clients without replacement"
            case PoissonSampling(q, cap, population):
                cut = f", cut at {cap} of {population} clients" if cap else ""
                return f"PLD, Poisson sampling, q = {q:g}{cut}"
            case InTurnSampling(separation):
                return f"exact Gaussian formula, each client once in {separation} rounds, no sampling"
        return "exact Gaussian formula, no sampling"

    def epsilon(self, rounds: int) -> float:
        """Epsilon after ``rounds`` releases, to report: an upper bound, 0.0 before the first, inf unnoised.

        Poisson sampling uses bins 1e-4 wide (wider above epsilon 40 or below noise 0.15, where it costs less
        than 1e-5 of epsilon; inf above 600) and takes 0.1 to 3 s the first time.
        """
        _require_whole("rounds", rounds, 0, "count server rounds, not local steps")
        if rounds == 0 or self.noise_multiplier == 0:
            return math.inf if rounds else 0.0
        return _final(self, int(rounds))

    def so_far(self, rounds: int, total: int) -> float:
        """Upper bound on epsilon after ``rounds`` of ``total``, cheap enough to show after every round.

        It never falls as ``rounds`` grows and ends at ``epsilon(total)``. Only Poisson sampling is looser
        than ``epsilon(rounds)``: it counts rounds up to five significant bits (exact to round 32) in wider
        bins. Measured for q >= 0.001: at most 5.0 % too high, about 1.5 % on average, of which the bins are
        0.07 %; by construction 1 round in 16. For q = 1e-4 the bins reach 7 % after 100 000 rounds.
        """
        _require_whole("total", total, 0, "give the planned number of rounds")
        _require_whole("rounds", rounds, 0, "plan for more rounds in total", total)
        if rounds == 0 or self.noise_multiplier == 0:
            return self.epsilon(rounds)
        spare = int(rounds).bit_length() - 5 if isinstance(_plain(self.sampling), PoissonSampling) else 0
        step = 1 << max(0, spare)
        counted, last = -(-int(rounds) // step) * step, self.epsilon(total)
        return last if counted >= total else min(last, _rough(self, counted))

    def about(self, rounds: int) -> float:
        """The same upper bound as `epsilon` in wide bins: within 0.2 % of it where we looked, in 20 to 100 ms."""
        return _rough(self, int(rounds)) if rounds and self.noise_multiplier else self.epsilon(rounds)


def suggested_delta(population: int) -> float:
    """N ** -1.1 for N clients, but no less than 1e-6 as long as that is still below 1 / N."""
    _require_whole("population", population, 2, "one client has nobody to hide among")
    return max(population ** -1.1, 1e-6 if population < 10**6 else 0.0)


def noise_multiplier_for(sampling, epsilon: float, delta: float, rounds: int) -> float:
    """The least noise multiplier, to 0.3 %, with ``Ledger.epsilon(rounds) <= epsilon``; else ValueError."""
    _require(isinstance(epsilon, Real) and 0 < epsilon < HOPELESS, "epsilon", epsilon,
             f"above 0 and below {HOPELESS:g}", "1 is strong and 8 is weak privacy")
    _require_whole("rounds", rounds, 1, "count server rounds, not local steps")
    return _calibrated(_plain(Ledger(sampling, 1.0, delta).sampling), float(epsilon), delta, int(rounds))


def _plain(sampling):
    match sampling:
        case FixedSampling(cohort, population) if cohort == population:
            return Everyone()
        case InTurnSampling(1):
            return Everyone()
        case PoissonSampling(q, cap, population) if cap == population:   # no cap, or an idle one
            return Everyone() if q == 1 else PoissonSampling(q)
    return sampling


def _bins(ledger, width, most):
    """``width``, or what keeps to ``most`` bins, as 1, 2, 4, ... FINE: nested, so wider is never lower."""
    z = ledger.noise_multiplier
    return FINE * 2 ** max(0, math.floor(math.log2(max(width, (10 / z + 0.5 / z**2) / most) / FINE)))


def _rough(ledger, rounds):
    """A cheap upper bound: bins a tenth of the typical loss of one round (about q / z) wide."""
    plain = _plain(ledger.sampling)
    if not isinstance(plain, PoissonSampling):
        return _final(ledger, rounds)
    return _composed(ledger, rounds, _bins(ledger, 0.1 * plain.q / ledger.noise_multiplier, 50_000))


@cache
def _final(ledger, rounds):
    match _plain(ledger.sampling):
        case Everyone() | InTurnSampling() as known:
            from dp_accounting import get_epsilon_gaussian
            times = -(-rounds // getattr(known, "separation", 1))
            return float(get_epsilon_gaussian(ledger.noise_multiplier / math.sqrt(times), ledger.delta))
        case FixedSampling() as fixed:
            from dp_accounting.rdp import compute_epsilon
            once = _one_round(fixed, ledger.noise_multiplier)
            return float(compute_epsilon(once.orders, rounds * once.rdp, ledger.delta)[0])
    rough = _rough(ledger, rounds)
    if not 0 < rough < math.inf:
        return rough
    return min(rough, _composed(ledger, rounds, _bins(ledger, rough / 400_000, 1_000_000)))


@cache
def _composed(ledger, rounds, width):
    once = _one_round(_plain(ledger.sampling), ledger.noise_multiplier, width)
    with np.errstate(over="ignore"):
        epsilon = float(once.self_compose(rounds).get_epsilon_for_delta(ledger.delta))
    return epsilon if epsilon < HOPELESS else math.inf


@lru_cache(maxsize=8)   # each up to some megabytes
def _one_round(sampling, z, width=None):
    import dp_accounting as dp
    pld = dp.pld.privacy_loss_distribution
    match sampling:
        case FixedSampling(cohort, population):
            # It reads its multiplier as noise / sensitivity, and replacing a client moves the sum by 2C.
            event = dp.SampledWithoutReplacementDpEvent(population, cohort, dp.GaussianDpEvent(z / 2))
            return dp.rdp.RdpAccountant(None, dp.NeighboringRelation.REPLACE_ONE).compose(event)
        case PoissonSampling(q, None):
            return pld.from_gaussian_mechanism(z, value_discretization_interval=width, sampling_prob=q)
        case PoissonSampling(q, cap, population):
            return pld.from_truncated_subsampled_gaussian_mechanism(
                population, q, cap, z, value_discretization_interval=width)


@cache
def _calibrated(sampling, target, delta, rounds):
    """Bracket the answer from a closed-form guess, solve with coarse bins, settle with the reported ones."""
    from dp_accounting import get_sigma_gaussian
    from scipy.optimize import brentq

    def after(z, account):
        return account(Ledger(sampling, z, delta), rounds)

    share = getattr(sampling, "q", 1.0)
    high = max(LEAST_NOISE, share * math.sqrt(rounds) * get_sigma_gaussian(target, delta))
    while after(high, _rough) > target:
        high *= 1.5
        _require(high < 1e9, "epsilon", target, "a value some noise can meet", "ask for a larger epsilon")
    low = high / 1.5
    while low >= LEAST_NOISE and after(low, _rough) <= target:
        high, low = low, low / 1.5
    _require(low >= LEAST_NOISE, "epsilon", target, f"below what noise {LEAST_NOISE} leaves", "lower it")
    z = brentq(lambda z: min(after(z, _rough), HOPELESS) - target, low, high, rtol=1e-4)
    while after(z, _final) > target:
        z *= 1.0003
    while 0.997 * z >= LEAST_NOISE and after(0.997 * z, _final) <= target:
        z *= 0.997
    return z
