"""Small whole numbers as bytes: what goes out takes as many bits as it needs and no more."""

import torch
from torch import Tensor


def packed(codes: Tensor, bits: int) -> Tensor:
    """codes [C, W], whole numbers below 2**bits -> bytes [C, bits * ceil(W / 8)] uint8.

    Bit by bit: first the lowest bit of every code, eight codes a byte, then the next bit. The last byte of a plane is
    filled up with zeros.

    >>> packed(torch.tensor([[1, 0, 1, 3]]), 2).tolist()
    [[13, 8]]
    """
    length = -(-codes.shape[1] // 8)
    planes = torch.stack([codes >> i & 1 for i in range(bits)], 1).to(torch.uint8)
    planes = torch.nn.functional.pad(planes, (0, 8 * length - codes.shape[1])).view(len(codes), bits, length, 8)
    out = planes[..., 0].clone()
    for i in range(1, 8):
        out |= planes[..., i] << i
    return out.view(len(codes), bits * length)


def unpacked(raw: Tensor, bits: int, width: int) -> Tensor:
    """The inverse of `packed`: bytes [C, bits * ceil(W / 8)] -> codes [C, W] int32.

    >>> unpacked(torch.tensor([[13, 8]], dtype=torch.uint8), 2, 4).tolist()
    [[1, 0, 1, 3]]
    """
    length = -(-width // 8)
    planes = raw.view(len(raw), bits, length, 1)
    codes = torch.zeros(len(raw), width, dtype=torch.int32, device=raw.device)
    for i in range(bits):
        plane = planes[:, i] >> torch.arange(8, dtype=torch.uint8, device=raw.device) & 1
        codes |= plane.flatten(1)[:, :width].to(torch.int32) << i
    return codes


def bytes_for(width: int, bits: int) -> int:
    """How many bytes `packed` makes of `width` codes.

    >>> bytes_for(10, 3)
    6
    """
    return bits * -(-width // 8)
