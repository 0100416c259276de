from typing import ClassVar

from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import Attack


@part
class FreeRider(Attack):
    """Liars do no work: they send nothing new, or a random row to look busy, and get the model all the same.

    Access: own row (of which nothing is used). lie: rows [C, D], bad [C], keys [C] -> where bad, zeros, that is the
    model as it came, or for size > 0 a row of that length in a random direction. They count like everybody else, by the
    rows that they claim. Raises BadInput for fields out of range.
    Source: Lin, Du, Liu, Free-riders in Federated Learning, arXiv 1911.12560 (random weights); Fraboni, Vidal, Lorenzi,
    AISTATS 2021 (the model as it came, plain or disguised by noise). There noise is set by its deviation, here by the
    length of the row, which is what a server can check.
    """

    access: ClassVar[str] = "own row"

    size: float = Field(0.0, ge=0, le=1e6, description="length of the random row that is sent; 0 sends no change")

    def lie(self, rows, bad, keys, space=None):
        sent = rows.masked_fill(bad[:, None], 0)
        if self.size:
            noise = seeds.normals(keys[bad], rows.shape[1], rows.dtype)
            sent[bad] = self.size * noise / noise.norm(dim=1, keepdim=True)
        return sent
