"""Payloads as bytes and back: a client's arrays one after another, little-endian."""

import numpy as np
import torch
from torch import Tensor

from .types import payload_bytes


def packed(tensors: dict[str, Tensor], i: int) -> bytes:
    """The bytes of client number i of tensors [C, length]."""
    arrays = (np.ascontiguousarray(t[i].cpu().numpy()) for t in tensors.values())
    return b"".join(a.astype(a.dtype.newbyteorder("<")).tobytes() for a in arrays)


def unpacked(messages: list[bytes], wire: dict[str, tuple[int, torch.dtype]], due: int) -> dict[str, Tensor]:
    """The tensors [C, length] of C messages; wire: name -> (length, type). Raises ValueError when one has not the
    `due` length."""
    for message in messages:
        if len(message) != due:
            raise ValueError(f"a message of {len(message)} bytes where {due} are due")
    arrays, at = {}, 0
    for name, (length, kind) in wire.items():
        size = payload_bytes(length, kind)
        raw = bytearray(b"".join(message[at:at + size] for message in messages))
        flat = torch.frombuffer(raw, dtype=kind) if raw else torch.empty(0, dtype=kind)
        arrays[name] = flat.view(len(messages), length)
        at += size
    return arrays
