from typing import Literal

import torch
from pydantic import Field

from .. import seeds
from ..part import BadInput, part
from ..slots import Privatise
from .accountant import suggested_delta
from .clipping import OUTSIDE, cut
from .local_ledger import LocalLedger, local_multiplier_for


@part
class LocalNoise(Privatise):
    """Each client clips its own row and adds noise before it is sent: local privacy, whoever the server is.

    client: rows [C, D] -> row * min(1, clip / |row|) + noise, over the whole row with all its blocks; "gaussian":
    length in L2, N(0, (noise_multiplier * clip)^2); "laplace": in L1, Laplace of scale noise_multiplier * clip.
    Whatever follows (codec, any aggregator, server) costs no privacy more. Neighbours: all that one client holds,
    replaced by anything, which moves its row by 2 clip; that it takes part is no secret. epsilon is that of a client
    that sends a row every round, the most there can be: sampling hides no client from the server that samples, so no
    amplification is claimed. Averaging m rows leaves sqrt(m) times the noise of a trusted server's `Gaussian`.
    Raises BadInput for fields out of range and targets that no noise can reach.
    Source: Dwork and Roth, The Algorithmic Foundations of Differential Privacy, 2014 (both mechanisms, remembered); on
    updates, ours.
    """

    tag = "at the clients"
    alternatives = (("noise_multiplier", "epsilon"),)
    central = False
    covers = "what the server learns of any one client that sends a row every round"

    mechanism: Literal["gaussian", "laplace"] = Field("gaussian", description="law of the noise, and with it the norm")
    clip: float = Field(1.0, gt=0, le=1e6, description="longest row a client may send, before its noise")
    noise_multiplier: float | None = Field(1.0, ge=0, le=1e4, description="noise deviation, or scale, in clips")
    epsilon: float | None = Field(None, gt=0, le=1e4, description="or: the epsilon of a client that comes every round")
    delta: float | None = Field(None, gt=0, lt=1, description="chance that epsilon fails; N^-1.1 when empty")

    def ledger(self, sampling, clients, rounds):
        try:
            delta = suggested_delta(max(clients, 2)) if self.delta is None else self.delta
            z = self.noise_multiplier
            if z is None:
                z = local_multiplier_for(self.mechanism, self.epsilon, delta, rounds)
            return LocalLedger(self.mechanism, z, delta)
        except ValueError as error:
            raise BadInput(f"privatise = local_noise: {error}") from None

    def notes(self, ledger, clients, width, expected):
        yield (f"epsilon is that of a client that sends a row in every round, against the server itself: "
               f"{ledger.relation}; who comes less often spends less")
        if ledger.noise_multiplier == 0:
            yield "privatise.noise_multiplier = 0 adds no noise: there is no privacy, and epsilon is infinite"
        length = ledger.noise_multiplier * (width**0.5 if self.mechanism == "gaussian" else width)
        if length > 1:
            yield (f"the noise in each row that arrives is about {length:.2g} times as long as the longest row "
                   "allowed; the mean of m rows that count the same has 1 / sqrt(m) of it")
        yield OUTSIDE

    def client(self, rows, keys, ledger):
        keys, z, D = keys.to(rows.device), ledger.noise_multiplier, rows.shape[1]
        if self.mechanism == "gaussian":
            return cut(rows, self.clip) + z * self.clip * seeds.normals(keys, D, rows.dtype)
        size, side = seeds.uniforms(keys, 2 * D, torch.float64).split(D, dim=1)
        noise = -torch.log1p(-size) * torch.where(side < 0.5, -1.0, 1.0)   # an exponential length to either side
        return cut(rows, self.clip, 1) + z * self.clip * noise.to(rows.dtype)
