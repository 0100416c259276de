"""The account of correlated noise: one Gaussian event for a whole run of known length and known participation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .accountant import LEAST_NOISE, _require, _require_whole
from .prefix import MECHANISMS, sensitivities


@dataclass(frozen=True)
class RunLedger:
    """All releases of a run together cost as much as one Gaussian of `noise_multiplier`: a pure function of its fields.

    Each client comes at most once in any `separation` rounds, of `rounds` in all. The draws have deviation
    `noise_multiplier * sensitivity` in clips. Raises ValueError for fields out of range.

    >>> round(RunLedger("sqrt", 100, 10, 1.0, 1e-5).epsilon(100), 4)   # as one release with z = 1
    4.3772
    """

    mechanism: str
    rounds: int
    separation: int
    noise_multiplier: float
    delta: float

    relation = "add or remove one client"

    def __post_init__(self):
        z = self.noise_multiplier
        _require(self.mechanism in MECHANISMS, "mechanism", self.mechanism, f"one of {', '.join(MECHANISMS)}",
                 "choose one")
        _require_whole("rounds", self.rounds, 1, "correlated noise is made for a number of rounds")
        _require_whole("separation", self.separation, 1, "1 is a client that comes every round")
        _require(z == 0 or LEAST_NOISE <= z < math.inf, "noise_multiplier", z,
                 f"0 (no noise) or a finite number of at least {LEAST_NOISE}", "1 is a common start")
        _require(0 < self.delta < 1, "delta", self.delta, "between 0 and 1, both excluded",
                 "use well under 1 / clients, see suggested_delta")

    @property
    def times(self) -> int:
        """How often one client comes in the whole run, at most."""
        return -(-self.rounds // self.separation)

    @property
    def sensitivity(self) -> float:
        """What one client moves in the whole run, in clips of the aggregate's sum."""
        return float(sensitivities(self.mechanism, self.rounds, self.separation)[-1])

    @property
    def method(self) -> str:
        often = "once" if self.times == 1 else f"{self.times} times, once in {self.separation} rounds"
        return f"exact Gaussian formula for the whole run, each client at most {often}, no sampling"

    def epsilon(self, rounds: int) -> float:
        """Epsilon of the first `rounds` releases, which are those of a shorter run with this noise: it never falls,
        is 0.0 before the first and `noise_multiplier`'s own after the last; inf unnoised.

        Raises ValueError for more rounds than the noise was made for.
        """
        _require_whole("rounds", rounds, 0, "plan for more rounds before the run: the noise is made for this many",
                       self.rounds)
        if rounds == 0 or self.noise_multiplier == 0:
            return math.inf if rounds else 0.0
        from dp_accounting import get_epsilon_gaussian

        moved = sensitivities(self.mechanism, self.rounds, self.separation)
        return float(get_epsilon_gaussian(self.noise_multiplier * moved[-1] / moved[rounds - 1], self.delta))

    def so_far(self, rounds: int, total: int) -> float:
        """The same, after `rounds` of `total`, which cannot be another number than was planned for."""
        return self.epsilon(rounds)

    about = epsilon
