from typing import ClassVar, Literal

from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import Attack


@part
class GaussianNoise(Attack):
    """Liars send Gaussian noise, or what they learned with such noise on it.

    Access: own row. lie: rows [C, D], bad [C], keys [C] -> independent draws of N(0, std^2) where bad, in place of the
    row ("replace") or on top of it ("add"). Raises BadInput for fields out of range.
    Source: Blanchard et al., NeurIPS 2017 ("replace").
    """

    access: ClassVar[str] = "own row"

    std: float = Field(1.0, gt=0, le=1e6, description="standard deviation of each entry of the noise")
    how: Literal["replace", "add"] = Field("replace", description="send noise alone, or the row with noise on it")

    def lie(self, rows, bad, keys, space=None):
        noise, sent = self.std * seeds.normals(keys[bad], rows.shape[1], rows.dtype), rows.clone()
        sent[bad] = noise + rows[bad] if self.how == "add" else noise
        return sent
