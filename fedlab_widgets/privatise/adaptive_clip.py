from dataclasses import replace

import torch
from pydantic import Field

from .. import seeds
from ..part import BadInput, part
from ..slots import Privatise
from ..types import Memory
from .accountant import Ledger, noise_multiplier_for, suggested_delta
from .clipping import central_notes, cut


@part
class AdaptiveClip(Privatise):
    """Gaussian noise on the server's sum, with a clip that follows a quantile of the rows' lengths under noise itself.

    bound: rows [C, D] -> row * min(1, C_t / |row|). count: 1/2 for a row within C_t, else -1/2 (one client moves their
    sum by 1/2). learn: b = 1/2 + (sum + N(0, s^2)) / m;  C_{t+1} = C_t exp(-rate (b - quantile)), with m the clients
    expected a round. noise: sum [D] + N(0, (z_u C_t)^2) with z_u = (z^-2 - (2 s)^-2)^(-1/2), so that sum and count
    together cost one Gaussian of multiplier z: the ledger is that of `Gaussian`.
    Left empty, s is m / 20, as TensorFlow Federated and Flower have it, but at least z: the sum gets at most 15 % more
    noise for the count, however small the cohort.
    The trusted server counts from the rows it receives: clients send no bit more. Neighbours differ in one client.
    Raises BadInput for fields out of range, targets that no noise can reach, and a count noised too little for z.
    Source: Andrew et al., Differentially Private Learning with Adaptive Clipping, NeurIPS 2021 (arXiv 1905.03871).
    """

    tag = "at the server"
    alternatives = (("noise_multiplier", "epsilon"),)

    start: float = Field(0.1, gt=0, le=1e6, description="clip of the first round")
    quantile: float = Field(0.5, gt=0, lt=1, description="share of rows that should be within the clip")
    rate: float = Field(0.2, gt=0, le=10, description="how fast the clip moves, in its logarithm")
    noise_multiplier: float | None = Field(1.0, ge=0, le=1e4, description="noise deviation of both, in clips")
    epsilon: float | None = Field(None, gt=0, le=1e4, description="or: the epsilon to end at")
    count_noise: float | None = Field(
        None, gt=0, le=1e6, description="noise deviation on the count; when empty a 20th of the clients of a round, or "
        "the noise multiplier if that is more")
    delta: float | None = Field(None, gt=0, lt=1, description="chance that epsilon fails; N^-1.1 when empty")

    def init(self, world, expected, width):
        numbers = {"clip": self.start, "expected": expected}
        return Memory(shared={k: torch.tensor(v, dtype=world.dtype, device=world.device) for k, v in numbers.items()})

    def ledger(self, sampling, clients, rounds):
        try:
            delta, z = suggested_delta(clients) if self.delta is None else self.delta, self.noise_multiplier
            if z is None:
                z = noise_multiplier_for(sampling, self.epsilon, delta, rounds)
            return Ledger(sampling, z, delta)
        except ValueError as error:
            raise BadInput(f"privatise = adaptive_clip: {error}") from None

    def notes(self, ledger, clients, width, expected):
        return central_notes(ledger, clients, width, expected)

    def lacks(self, plan):
        z = plan.ledger.noise_multiplier
        if self.count_noise is not None and z >= 2 * self.count_noise:
            yield (f"privatise.count_noise = {self.count_noise:.3g} must be above half the noise multiplier, "
                   f"{z / 2:.3g}: so precise a count alone would cost more than count and sum together may; set it to "
                   f"{z:.2g}, or leave it empty")

    def bound(self, rows, mine):
        return cut(rows, mine.shared["clip"])

    def count(self, rows, mine):
        return (rows.norm(dim=1) <= mine.shared["clip"]).to(rows.dtype) - 0.5

    def noise(self, total, ledger, sensitivity, key, mine):
        z = ledger.noise_multiplier
        share = (1 - (z / (2 * self._spread(z, mine))) ** 2) ** -0.5 if z else 1.0   # z_u / z
        deviation = z * share * mine.shared["clip"] * sensitivity
        return total + deviation * seeds.normals(key.to(total.device), len(total), total.dtype), mine

    def learn(self, counted, ledger, key, mine):
        z, blur = ledger.noise_multiplier, seeds.normals(key.to(counted.device), 1, counted.dtype)[0]
        spread = self._spread(z, mine) if z else 0.0
        within = 0.5 + (counted + spread * blur) / mine.shared["expected"]
        clip = mine.shared["clip"] * torch.exp(-self.rate * (within - self.quantile))
        return replace(mine, shared=mine.shared | {"clip": clip.clamp(1e-30, 1e30)})

    def _spread(self, z, mine):
        """The deviation s of the noise on the count."""
        return (mine.shared["expected"] / 20).clamp(min=z) if self.count_noise is None else self.count_noise
