import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import VALUES, Encode
from .bitplanes import bytes_for, packed, unpacked


@part
class Quantise(Encode):
    """Round every entry at random to one of a few levels of its bucket's length, so that it is right on average.

    encode: rows [C, D] -> arrays "codes" [C, (1 + ceil(log2(levels + 1))) ceil(D / 8)] uint8, a sign and a level an
    entry, and "norms" [C, buckets], the Euclidean length of each bucket of neighbouring entries. An entry x of a bucket
    of length n goes out as sign(x) l n / levels, with l = floor(levels |x| / n + u) and u uniform in [0, 1): unbiased.
    Small buckets are rounded less coarsely (the variance grows with the root of their size) and cost more norms.
    Raises BadInput for fields out of range. Source: Alistarh et al., QSGD, NeurIPS 2017 (arXiv 1610.02132); codes have
    a fixed length here, without the paper's Elias coding.
    """

    tag = "fewer bits"

    takes, smooth = VALUES, False   # a rounding error may reach another level

    levels: int = Field(16, ge=1, le=32_767, description="levels above zero; 1 keeps a sign or nothing")
    bucket: int = Field(512, ge=1, le=1_000_000_000, description="entries, at most, that share one length")

    @property
    def bits(self) -> int:
        """Bits an entry takes.

        >>> [Quantise(levels=s).bits for s in (1, 3, 16)]
        [2, 3, 6]
        """
        return 1 + self.levels.bit_length()   # ceil(log2(s + 1)) is the bit length of s

    def wire(self, space, dtype):
        norms = sum(-(-b.width // self.bucket) for b in space.blocks)
        return {"codes": (bytes_for(space.width, self.bits), torch.uint8), "norms": (norms, dtype)}

    def encode(self, rows, space, keys, mine):
        norms = [part.norm(dim=1) for block in space.split(rows).values() for part in block.split(self.bucket, 1)]
        norms = torch.stack(norms, 1)
        steps = self.levels / norms.clamp(min=torch.finfo(rows.dtype).tiny)
        draw = seeds.uniforms(keys, space.width).to(rows)   # the same in every precision
        level = draw.addcmul_(rows.abs(), self._spread(steps, space)).to(torch.int32).clamp_(max=self.levels)
        return {"codes": packed(level | (rows < 0).int() << self.bits - 1, self.bits), "norms": norms}, mine

    def decode(self, arrays, space):
        codes, norms = unpacked(arrays["codes"], self.bits, space.width), arrays["norms"]
        top = 1 << self.bits - 1
        level, sign = codes & top - 1, 1 - 2 * (codes // top)
        return (level * sign).to(norms.dtype) * self._spread(norms / self.levels, space)

    def _spread(self, numbers, space):
        """One number a bucket -> beside every column [C, D]."""
        widths = [min(self.bucket, b.width - at) for b in space.blocks for at in range(0, b.width, self.bucket)]
        return numbers.repeat_interleave(torch.tensor(widths, device=numbers.device), 1, output_size=space.width)
