from typing import Literal

import torch
from pydantic import Field

from ..part import part
from ..slots import VALUES, Encode

TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@part
class Float16(Encode):
    """Send every entry in half precision: 2 bytes instead of 4.

    encode: rows [C, D] -> arrays "values" [C, D], 16 bits an entry, and "scale" [C, blocks], the largest size of each
    block in the run's precision: 2 D + 4 bytes a block in float32. Entries are divided by the scale before they are
    rounded to the nearest, so that neither long nor tiny updates leave the range of float16. The error of an entry is
    at most 2^-11 of its size in float16 (2^-9 in bfloat16), or 2^-25 of the scale where that is more.
    Raises BadInput for another format. Source: IEEE 754 binary16; common practice (the scale a block is ours).
    """

    tag = "fewer bits"

    takes, smooth = VALUES, False   # a rounding error may round the other way

    format: Literal["float16", "bfloat16"] = Field(
        "float16", description="which half precision: float16 has 11 bits of precision, bfloat16 8 and a wider range")

    def wire(self, space, dtype):
        return {"values": (space.width, torch.int16), "scale": (len(space.blocks), dtype)}

    def encode(self, rows, space, keys, mine):
        scale = torch.stack([part.abs().amax(1) for part in space.split(rows).values()], 1)
        tiny = torch.finfo(rows.dtype).tiny
        shares = rows / spread(scale, space).clamp(min=tiny)
        # As whole numbers of 16 bits: packing knows no bfloat16.
        return {"values": shares.to(TYPES[self.format]).view(torch.int16), "scale": scale}, mine

    def decode(self, arrays, space):
        scale = arrays["scale"]
        return arrays["values"].contiguous().view(TYPES[self.format]).to(scale.dtype) * spread(scale, space)


def spread(scale, space):
    """One number a block [C, blocks] -> beside every column [C, D]."""
    widths = torch.tensor([b.width for b in space.blocks], device=scale.device)
    return scale.repeat_interleave(widths, 1, output_size=space.width)
