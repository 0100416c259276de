import torch
from pydantic import Field

from ..part import part
from ..slots import VALUES, Encode


@part
class LogByte(Encode):
    """Send one byte an entry: a bit for its sign and seven for the logarithm of its size.

    encode: rows [C, D] -> arrays "codes" [C, D] uint8, one byte an entry; "type" [C, 0] takes none and tells the
    precision. q = round(8 (ln |x| - low)), held to 0 .. 127, arrives as sign(x) exp(q / 8 + low): within 6.5 % for
    sizes from e^low to e^(low + 15.9), 0.018 to 144,000 for the default. What is larger arrives as the largest of them,
    and what is smaller, zero included (as a positive number), as the smallest: lower `low` for rows of small numbers.
    Raises BadInput for low out of range, FloatingPointError for what is not finite. Source: the one byte a gradient of
    Zelikman et al., Just One Byte (per gradient), 2023 (arXiv 2306.10015); this code is ours. Its released code rounds
    16 ln |x| to -127 .. 127 beside a sign, nine bits, and sends the numbers unrounded.
    """

    tag = "fewer bits"

    takes, smooth = VALUES, False   # a rounding error may reach another code

    low: float = Field(-4.0, ge=-40, le=40, description="natural logarithm of the smallest size that is told apart")

    def wire(self, space, dtype):
        return {"codes": (space.width, torch.uint8), "type": (0, dtype)}

    def encode(self, rows, space, keys, mine):
        if not bool(torch.isfinite(rows).all()):   # no code could tell
            raise FloatingPointError
        q = (8 * (rows.double().abs().log() - self.low)).round().clamp(0, 127).to(torch.uint8)
        return {"codes": q | (rows < 0).to(torch.uint8) << 7, "type": rows[:, :0]}, mine

    def decode(self, arrays, space):
        codes, like = arrays["codes"], arrays["type"]
        sizes = (torch.arange(128, device=codes.device, dtype=torch.float64) / 8 + self.low).exp().to(like.dtype)
        return torch.cat([sizes, -sizes])[codes.long()]
