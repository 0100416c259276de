from pydantic import Field

from ..part import part
from ..slots import Correct


@part
class Proximal(Correct):
    """Pull local weights back to where the round began.

    Adds the gradient of mu/2 |w - start|^2 to every step: g' = g + mu w - mu start. mu = 0 is FedAvg.
    affine: start [C, P] -> a = mu, b [C, P] = -mu start. Raises BadInput for mu outside 0 to 100.
    Source: Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020, eq. 2.
    Differs from the paper: a fixed number of local steps instead of a solver tolerance.
    """

    tag = "nothing remembered"

    mu: float = Field(0.01, ge=0, le=100, description="strength of the pull back to the global model")

    def affine(self, world, start, mine):
        row = start if start.stride(0) else start[:1]   # one row where all start alike
        return self.mu, (-self.mu * row).expand_as(start)
