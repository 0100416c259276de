"""What the server, or whoever listens, learns of one client from the rows it noised itself.

>>> round(LocalLedger("gaussian", 2.0, 1e-5).epsilon(1), 4)   # deviation 2 C hides a change of 2 C: one Gaussian, z = 1
4.3772
>>> LocalLedger("laplace", 4.0, 1e-5).epsilon(1) <= 0.5       # 2 C / 4 C, and a little less at a delta above 0
True
"""

import math
from dataclasses import dataclass
from functools import cache

from .accountant import HOPELESS, LEAST_NOISE, _require, _require_whole


@dataclass(frozen=True)
class LocalLedger:
    """The account of one client that sends a row in `rounds` rounds: nobody else hides it, so no sampling helps.

    Each row is cut to length C and replaced by any other at worst, a change of 2 C; `noise_multiplier` is the deviation
    of the noise ("gaussian"; C in L2) or its scale ("laplace"; C in L1) in C. That a client takes part is no secret.
    """

    mechanism: str
    noise_multiplier: float
    delta: float

    relation = "replace all that one client holds, seen by the server"

    def __post_init__(self):
        z = self.noise_multiplier
        _require(z == 0 or LEAST_NOISE <= z < math.inf, "noise_multiplier", z,
                 f"0 (no noise) or a finite number of at least {LEAST_NOISE}", "10 is a common start")
        _require(0 < self.delta < 1, "delta", self.delta, "between 0 and 1, both excluded",
                 "use well under 1 / clients")

    @property
    def method(self) -> str:
        if self.mechanism == "gaussian":
            return "exact Gaussian formula, each client by itself"
        return "optimal composition of pure guarantees, each client by itself"

    def epsilon(self, rounds: int) -> float:
        """Epsilon of a client that sent `rounds` rows: 0.0 before the first, inf unnoised.

        Gaussian: exact. Laplace: at most 2 / noise_multiplier a round, composed as well as any mechanism of that
        guarantee allows (Kairouz, Oh, Viswanath 2015; the loss is worst where it is +- that, so bins of that width are
        exact), an upper bound.
        """
        _require_whole("rounds", rounds, 0, "count server rounds, not local steps")
        if rounds == 0 or self.noise_multiplier == 0:
            return math.inf if rounds else 0.0
        return _spent(self, int(rounds))

    def so_far(self, rounds: int, total: int) -> float:
        """The same, after `rounds` of `total`."""
        return self.epsilon(rounds)


def local_multiplier_for(mechanism: str, epsilon: float, delta: float, rounds: int) -> float:
    """The least noise multiplier with which `rounds` rows cost a client at most epsilon, to 0.1 %; else ValueError."""
    _require(0 < epsilon < HOPELESS, "epsilon", epsilon, f"above 0 and below {HOPELESS:g}", "8 is weak, local or not")
    low, high = LEAST_NOISE, LEAST_NOISE
    while LocalLedger(mechanism, high, delta).epsilon(rounds) > epsilon:
        low, high = high, 2 * high
        _require(high < 1e9, "epsilon", epsilon, "a value some noise can meet", "ask for a larger epsilon")
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        enough = LocalLedger(mechanism, middle, delta).epsilon(rounds) <= epsilon
        low, high = (low, middle) if enough else (middle, high)
    return high


@cache
def _spent(ledger: LocalLedger, rounds: int) -> float:
    if ledger.mechanism == "gaussian":
        from dp_accounting import get_epsilon_gaussian

        return float(get_epsilon_gaussian(ledger.noise_multiplier / 2 / math.sqrt(rounds), ledger.delta))
    once = 2 / ledger.noise_multiplier
    if once > 20:   # beyond it e^-once is lost beside 1, and composing cannot help
        return once * rounds if once * rounds < HOPELESS else math.inf
    from dp_accounting.pld import privacy_loss_distribution as pld
    from dp_accounting.pld.common import DifferentialPrivacyParameters

    pure = pld.from_privacy_parameters(DifferentialPrivacyParameters(once, 0.0), value_discretization_interval=once)
    return min(once * rounds, float(pure.self_compose(rounds).get_epsilon_for_delta(ledger.delta)))
