from typing import Literal

import torch
from pydantic import Field

from .. import seeds
from ..part import BadInput, part
from ..slots import Privatise
from ..types import Memory
from .accountant import Everyone, InTurnSampling, suggested_delta
from .clipping import central_notes, cut
from .prefix import MECHANISMS, increment
from .run_ledger import RunLedger

COLUMNS = 4096   # of draws that are made at a time


@part
class CorrelatedNoise(Privatise):
    """Noise on the server's sum that takes back some of the last rounds': the models of all rounds cost one release.

    bound: rows [C, D] -> row * min(1, clip / |row|). noise: sum [D] of round t + N_t - N_(t-1), N_t the noise of a
    mechanism for prefix sums, of deviation noise_multiplier * s * clip a draw, s what one client can move its inner
    sums by over the whole run. After t rounds of plain averaging the model carries N_t, whose deviation grows like
    log t, that of fresh noise like sqrt(t); momentum and the like only work on what is published. In short runs (about
    30 rounds) the plain tree has no less noise than fresh noise; the square root has.
    No sampling is needed and none may be claimed: clients must come in a known order (sampler in_turn), or all always.
    The number of rounds is fixed beforehand. Remembers a round and a key: earlier draws are made again from it.
    Raises BadInput for fields out of range, targets that no noise can reach, and samplers that leave it to chance.
    Source: Kairouz et al., Practical and Private (Deep) Learning without Sampling or Shuffling, ICML 2021 (arXiv
    2103.00039; remembered); as increments with a factorisation, Denisov et al. 2022 (remembered). No restarts here.
    """

    tag = "at the server"
    alternatives = (("noise_multiplier", "epsilon"),)

    mechanism: Literal[MECHANISMS] = Field("sqrt", description="binary tree, tree with Honaker's estimates, or the "
                                                               "square root of the prefix sum (least noise)")
    clip: float = Field(1.0, gt=0, le=1e6, description="longest row a client may contribute")
    noise_multiplier: float | None = Field(1.0, ge=0, le=1e4, description="noise deviation of the whole run, in what "
                                                                          "one client can move")
    epsilon: float | None = Field(None, gt=0, le=1e4, description="or: the epsilon to end at")
    delta: float | None = Field(None, gt=0, lt=1, description="chance that epsilon fails; N^-1.1 when empty")

    def init(self, world, expected, width):
        shared = {"round": torch.tensor(0), "key": world.keys("privacy noise", 0, 0)}
        return Memory(shared={name: value.to(world.device) for name, value in shared.items()})

    def misfits(self, e):
        terms = e.schedule.sampling(1000)
        if terms is not None and not isinstance(terms, (Everyone, InTurnSampling)):
            yield self._chance(getattr(getattr(e.schedule, "sampler", None), "name", e.schedule.name))

    def _chance(self, name):
        return (f"privatise = {self.name} must know how often each client comes, and {name} leaves it to chance, which "
                "buys no privacy here; set schedule.sampler to 'in_turn', or take privatise = 'gaussian'")

    def ledger(self, sampling, clients, rounds):
        if not isinstance(sampling, (Everyone, InTurnSampling)):
            raise BadInput(self._chance("the schedule"))
        try:
            delta, z = suggested_delta(clients) if self.delta is None else self.delta, self.noise_multiplier
            if z is None:
                from dp_accounting import get_sigma_gaussian

                z = float(get_sigma_gaussian(self.epsilon, delta))
            return RunLedger(self.mechanism, rounds, getattr(sampling, "separation", 1), z, delta)
        except ValueError as error:
            raise BadInput(f"privatise = {self.name}: {error}") from None

    def notes(self, ledger, clients, width, expected):
        return central_notes(ledger, clients, width, expected, ledger.sensitivity)

    def bound(self, rows, mine):
        return cut(rows, self.clip)

    def noise(self, total, ledger, sensitivity, key, mine):
        t, key = int(mine.shared["round"]) + 1, mine.shared["key"].to(total.device)
        if t > ledger.rounds:
            raise BadInput(f"rounds = {t}, and the noise of privatise = {self.name} was made for {ledger.rounds}: more "
                           "would cost more than epsilon says; start a new run with more rounds")
        pieces = [increment(self.mechanism, t, seeds.fold(key, at), min(COLUMNS, len(total) - at), total.dtype)
                  for at in range(0, len(total), COLUMNS)]
        deviation = ledger.noise_multiplier * ledger.sensitivity * self.clip * sensitivity
        return total + deviation * torch.cat(pieces), Memory(
            shared={"round": mine.shared["round"] + 1, "key": mine.shared["key"]})

    def shows(self, plan, state, cohort):
        from .tree_view import views

        return views(self.mechanism, plan.ledger, state.round)
