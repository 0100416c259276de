from typing import Literal

import torch
from pydantic import Field
from torch.nn.functional import pad

from .. import seeds
from ..part import part
from ..slots import VALUES, Encode

# What the three bits after the sign stand for, ascending.
LEVELS = {"e2m1": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0),
          "e3m0": (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)}


@part
class Float4(Encode):
    """Send every entry as a float of four bits, with a scale for each block of neighbours: an eighth of the bytes.

    encode: rows [C, D] -> arrays "codes" [C, ceil(D / 2)] uint8, two entries a byte (the first in the low half; a sign
    and one of eight levels each), "scales" bfloat16, one for every `block` neighbours, and "largest", one for each
    block of the row in the run's precision, of which scales are shares: the largest of neighbours is the top level.
    ceil(D / 2) + 2 ceil(D / block) + 4 bytes of a row of one block in float32. An entry between two levels goes to the
    upper one with the chance of its place between them, so that it is right on average, or with `rounding` nearest to
    the closer one (the lower, half way), which errs less, and always to the same side.
    e2m1 has levels 0 0.5 1 1.5 2 3 4 6 (OCP microscaling formats, 2023), e3m0 zero and seven powers of two.
    Raises BadInput for fields out of range.
    Source: outer gradients as 4-bit floats, Douillard et al., Streaming DiLoCo (arXiv 2501.18512). Their rounding and
    scales are not known to us: blocks, two levels of scales, zero in e3m0 and rounding at random are ours.
    """

    tag = "fewer bits"

    takes, smooth = VALUES, False   # a rounding error may reach another level

    format: Literal["e2m1", "e3m0"] = Field("e2m1", description="two bits of exponent and one of mantissa, or three of "
                                                                "exponent")
    block: int = Field(64, ge=1, le=1_000_000_000, description="entries, at most, that share a scale")
    rounding: Literal["random", "nearest"] = Field("random", description="to one of the two levels beside it at "
                                                                         "random, or to the nearest")

    def wire(self, space, dtype):
        scales = sum(-(-b.width // self.block) for b in space.blocks)
        return {"codes": (-(-space.width // 2), torch.uint8), "scales": (scales, torch.int16),
                "largest": (len(space.blocks), dtype)}

    def encode(self, rows, space, keys, mine):
        levels, tiny = self._levels(rows), torch.finfo(rows.dtype).tiny
        scales = [_largest(piece, self.block) for piece in space.split(rows).values()]
        largest = torch.stack([each.amax(1) for each in scales], 1)
        scales = torch.cat([each / top[:, None].clamp(min=tiny) for each, top in zip(scales, largest.unbind(1),
                                                                                       strict=True)], 1)
        short = scales.to(torch.bfloat16)   # as whole numbers of 16 bits: packing knows no bfloat16
        short = (short.view(torch.int16) + (short.to(scales) < scales)).to(torch.int16)   # up: nothing is cut off
        sizes = rows.abs() / self._beside(short, largest, space).clamp(min=tiny)
        sizes.clamp_(max=levels[-1])
        below = torch.bucketize(sizes, levels[1:-1], right=True)   # 0 to 6: the level below it, or at it
        place = (sizes - levels[below]) / (levels[below + 1] - levels[below])
        draw = seeds.uniforms(keys, space.width).to(rows) if self.rounding == "random" else 0.5
        codes = (below + (place > draw)).to(torch.uint8) | (rows < 0).to(torch.uint8) << 3
        pairs = pad(codes, (0, space.width % 2)).view(len(rows), -1, 2)
        return {"codes": pairs[..., 0] | pairs[..., 1] << 4, "scales": short, "largest": largest}, mine

    def decode(self, arrays, space):
        codes, largest = arrays["codes"], arrays["largest"]
        codes = torch.stack([codes & 15, codes >> 4], 2).flatten(1)[:, :space.width].int()
        sizes = self._levels(largest)[codes & 7] * (1 - 2 * (codes >> 3))
        return sizes * self._beside(arrays["scales"], largest, space)

    def _levels(self, like):
        return torch.tensor(LEVELS[self.format], dtype=like.dtype, device=like.device)

    def _beside(self, short, largest, space):
        """What a level of 1 stands for, beside every column [C, D]."""
        scales, rows = short.contiguous().view(torch.bfloat16).to(largest), []
        counts = [-(-b.width // self.block) for b in space.blocks]
        for block, each, top in zip(space.blocks, scales.split(counts, 1), largest.unbind(1), strict=True):
            rows.append((each * top[:, None]).repeat_interleave(self.block, 1)[:, :block.width])
        return torch.cat(rows, 1) / LEVELS[self.format][-1]


def _largest(rows, size):
    """The largest size [C, ceil(W / size)] among every `size` neighbours of rows [C, W]."""
    return pad(rows.abs(), (0, -rows.shape[1] % size)).unflatten(1, (-1, size)).amax(2)
