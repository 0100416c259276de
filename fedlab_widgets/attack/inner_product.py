from pydantic import Field

from ..part import part
from .colluding import Colluding


@part
class InnerProduct(Colluding):
    """Liars send the honest mean turned round, so that what is combined points away from it.

    Access: all honest rows. lie: rows [C, D], bad [C] -> -epsilon * mean of the honest rows where bad. The mean of all
    rows is turned round as soon as epsilon > honest / liars; a small epsilon passes for one of the shorter rows.
    Raises BadInput for fields out of range and where all clients lie.
    Source: Xie, Koyejo, Gupta, Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product Manipulation, UAI
    2019.
    """

    epsilon: float = Field(2.0, gt=0, le=1e6, description="length of the lie in lengths of the honest mean")

    def craft(self, honest, count):
        return -self.epsilon * honest.mean(0)
