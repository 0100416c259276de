import torch
from pydantic import Field

from ..part import part
from ..slots import VALUES, Encode
from ..types import Memory
from .bitplanes import bytes_for, packed, unpacked
from .feedback import kept, residual
from .float16 import spread


@part
class Sign(Encode):
    """Send one bit an entry, its sign, and one size for all; what that gets wrong joins the next row (error feedback).

    encode: rows [C, D] -> arrays "signs" [C, ceil(D / 8)] uint8 and "scale" [C, blocks], the mean size of the entries
    of each block: ceil(D / 8) bytes and 4 a block in float32. With feedback the client's residual e [N, D] is kept:
    it sends scale sign(row + e) and keeps the rest. Zero counts as positive.
    Raises BadInput for feedback that is no yes or no. Source: Karimireddy et al., Error Feedback Fixes SignSGD, ICML
    2019 (arXiv 1901.09847); the signs are averaged here as they arrive, there is no majority vote.
    """

    tag = "fewer bits"

    takes, smooth = VALUES, False   # near zero a rounding error turns the sign

    feedback: bool = Field(True, description="whether what the signs got wrong is added to the client's next row")

    def init(self, world, space):
        return residual(world, space) if self.feedback else Memory()

    def wire(self, space, dtype):
        return {"signs": (bytes_for(space.width, 1), torch.uint8), "scale": (len(space.blocks), dtype)}

    def encode(self, rows, space, keys, mine):
        if self.feedback:
            rows = rows + mine.own["residual"]
        scale = torch.stack([part.abs().mean(1) for part in space.split(rows).values()], 1)
        arrays = {"signs": packed(rows < 0, 1), "scale": scale}
        return arrays, kept(rows, self.decode(arrays, space), mine) if self.feedback else mine

    def decode(self, arrays, space):
        scale = arrays["scale"]
        return (1 - 2 * unpacked(arrays["signs"], 1, space.width)).to(scale.dtype) * spread(scale, space)
