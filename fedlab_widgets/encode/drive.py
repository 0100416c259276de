import torch
from pydantic import Field
from torch import Tensor

from .. import seeds
from ..part import part
from ..slots import VALUES, Encode
from .bitplanes import bytes_for, packed, unpacked


@part
class Drive(Encode):
    """Turn the row by a random rotation, send one bit a coordinate and a length, and turn it back (DRIVE).

    encode: rows [C, D] -> arrays "signs" [C, D' / 8] uint8, "scale" [C, pieces] and "seed" [C, 1] int64. Each block is
    cut into pieces of p entries, a power of two, the last filled up with zeros: D' entries. A piece x becomes y = H S x
    with random signs S from the seed and the Hadamard matrix H / sqrt(p); scale sign(y), turned back, is the decoded
    piece. scale = |y|_2^2 / |y|_1 is right on average under a uniform rotation. Under this one it is closely so for
    long rows of entries of like size (2,000 draws of 100 normal entries: off by 2 % of their length), and not for short
    or sparse ones: (3, 1) always arrives as (10 / 3, 0). D' / 8 bytes, 4 a piece in float32, and 8.
    Raises BadInput for a log2_piece out of range. Source: Vargaftik et al., DRIVE: One-bit Distributed Mean Estimation,
    NeurIPS 2021 (arXiv 2105.08339); it turns the whole row at once, padded to the next power of two: the pieces, which
    pad less, are ours.
    """

    tag = "fewer bits"

    takes, smooth = VALUES, False   # near zero a rounding error turns the sign

    log2_piece: int = Field(
        10, ge=3, le=24, description="entries turned together at most, as a power of two (10: 1,024)")

    def _pieces(self, width: int) -> tuple[int, int]:
        """How many pieces of a block, and their entries.

        >>> Drive()._pieces(1500), Drive()._pieces(3)
        ((2, 1024), (1, 8))
        """
        size = min(1 << self.log2_piece, max(8, 1 << (width - 1).bit_length()))   # at least a byte of bits
        return -(-width // size), size

    def wire(self, space, dtype):
        pieces = [self._pieces(b.width) for b in space.blocks]
        return {"signs": (bytes_for(sum(n * size for n, size in pieces), 1), torch.uint8),
                "scale": (sum(n for n, _ in pieces), dtype), "seed": (1, torch.int64)}

    def encode(self, rows, space, keys, mine):
        found = [self._turned(block, keys, i) for i, block in enumerate(space.split(rows).values())]
        sizes = [y.abs().sum(2) for y in found]
        tiny = torch.finfo(rows.dtype).tiny
        scale = [y.square().sum(2) / size.clamp(min=tiny) for y, size in zip(found, sizes, strict=True)]
        signs = torch.cat([(y < 0).flatten(1) for y in found], 1)
        return {"signs": packed(signs, 1), "scale": torch.cat(scale, 1), "seed": keys[:, None]}, mine

    def decode(self, arrays, space):
        scale, rows, at, first = arrays["scale"], [], 0, 0
        ones = 1 - 2 * unpacked(arrays["signs"], 1, 8 * arrays["signs"].shape[1])
        for i, block in enumerate(space.blocks):
            n, size = self._pieces(block.width)
            y = ones[:, first:first + n * size].view(len(ones), n, size).to(scale.dtype) * scale[:, at:at + n, None]
            flips = _flips(arrays["seed"][:, 0], i, y)
            rows.append(hadamard(y).mul_(flips).flatten(1)[:, :block.width])
            at, first = at + n, first + n * size
        return torch.cat(rows, 1)

    def _turned(self, block: Tensor, keys: Tensor, i: int) -> Tensor:
        """Block number i of the rows [C, W] -> its turned pieces [C, n, size]."""
        n, size = self._pieces(block.shape[1])
        x = torch.nn.functional.pad(block, (0, n * size - block.shape[1])).view(len(block), n, size)
        return hadamard(x * _flips(keys, i, x))


def _flips(keys: Tensor, i: int, x: Tensor) -> Tensor:
    """Random signs, one for every entry of the pieces x [C, n, size] of block number i."""
    words = seeds.bits(seeds.fold(keys, i), -(-x[0].numel() // 32) if len(x) else 0)
    bits = words[..., None] >> torch.arange(32, device=words.device) & 1
    return (1 - 2 * bits.flatten(1)[:, :x.shape[1] * x.shape[2]]).view(x.shape).to(x)


def hadamard(x: Tensor) -> Tensor:
    """x [..., p], p a power of two, times the Hadamard matrix over sqrt(p), which is its own inverse. O(p log p).

    >>> hadamard(torch.tensor([1.0, 0.0, 0.0, 1.0])).tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    p, half = x.shape[-1], 1
    while half < p:
        a, b = x.unflatten(-1, (-1, 2, half)).unbind(-2)
        x = torch.stack((a + b, a - b), -2).flatten(-3)
        half *= 2
    return x * p**-0.5
