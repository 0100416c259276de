"""Tensors in a file of the safetensors format, written and read piece by piece: nothing is in memory twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

KINDS = {torch.float64: "F64", torch.int64: "I64", torch.float32: "F32", torch.int32: "I32", torch.float16: "F16",
         torch.bfloat16: "BF16", torch.int16: "I16", torch.uint8: "U8", torch.int8: "I8", torch.bool: "BOOL"}


def bytes_of(tensor: Tensor) -> memoryview:
    """The numbers of a contiguous tensor on the CPU as they lie in memory; nothing is copied.

    >>> bytes(bytes_of(torch.tensor([1.0])))
    b'\\x00\\x00\\x80?'
    """
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())


def pieces(tensors: dict[str, Tensor], about: dict[str, str]) -> Iterator[bytes | memoryview]:
    """What a file of contiguous CPU tensors [..] and notes about them consists of, in order."""
    due = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))   # so that each lies aligned
    header, at = {"__metadata__": about}, 0
    for name in due:
        t = tensors[name]
        end = at + t.numel() * t.element_size()
        header[name], at = {"dtype": KINDS[t.dtype], "shape": list(t.shape), "data_offsets": [at, end]}, end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    yield from (bytes_of(tensors[name]) for name in due)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the notes of such a file. The tensors are views of it: clone what is to be kept.

    Raises SafetensorError for a file that is none, OSError for one that cannot be read.
    """
    path.open("rb").close()   # an error of this one names its cause
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}   # noqa: SIM118
