from pydantic import Field

from .. import seeds
from ..part import BadInput, part
from ..slots import Privatise
from .accountant import Ledger, noise_multiplier_for, suggested_delta
from .clipping import central_notes, cut


@part
class Gaussian(Privatise):
    """Clip each client's row and add Gaussian noise to the server's sum: user-level differential privacy.

    bound: rows [C, D] -> row * min(1, clip / |row|), over the whole row with all its blocks.
    noise: sum [D] + N(0, (noise_multiplier * clip)^2), from the run's seed: reproducible, so for demonstration.
    Give the noise multiplier, or a target epsilon for which it is solved before the run. epsilon holds at delta for the
    released models; neighbours differ in one client with all it holds. A trusted server is assumed.
    Raises BadInput for fields out of range and targets that no noise can reach.
    Source: McMahan et al., Learning Differentially Private Recurrent Language Models, ICLR 2018, Algorithm 1.
    """

    tag = "at the server"
    alternatives = (("noise_multiplier", "epsilon"),)

    clip: float = Field(1.0, gt=0, le=1e6, description="longest row a client may contribute")
    noise_multiplier: float | None = Field(1.0, ge=0, le=1e4, description="noise deviation, in clips")
    epsilon: float | None = Field(None, gt=0, le=1e4, description="or: the epsilon to end at")
    delta: float | None = Field(None, gt=0, lt=1, description="chance that epsilon fails; N^-1.1 when empty")

    def ledger(self, sampling, clients, rounds):
        try:
            delta = suggested_delta(clients) if self.delta is None else self.delta
            multiplier = self.noise_multiplier
            if multiplier is None:
                multiplier = noise_multiplier_for(sampling, self.epsilon, delta, rounds)
            return Ledger(sampling, multiplier, delta)
        except ValueError as error:
            raise BadInput(f"privatise = gaussian: {error}") from None

    def notes(self, ledger, clients, width, expected):
        return central_notes(ledger, clients, width, expected)

    def bound(self, rows, mine):
        return cut(rows, self.clip)

    def noise(self, total, ledger, sensitivity, key, mine):
        deviation = ledger.noise_multiplier * self.clip * sensitivity
        return total + deviation * seeds.normals(key.to(total.device), len(total), total.dtype), mine
