"""What this machine can compute with, and how much memory is free just now."""

from __future__ import annotations

import os
from typing import NamedTuple

import psutil
import torch

from .forecast import size


class Device(NamedTuple):
    """A place to run on: what `run(device=)` takes, what it is called, and its memory in bytes."""

    device: str
    name: str
    free: int
    total: int


def cpu() -> Device:
    """The processor and main memory; what other programs use is not free."""
    cores, memory = os.cpu_count() or 1, psutil.virtual_memory()
    return Device("cpu", f"CPU, {cores} core{'s' if cores > 1 else ''}", memory.available, memory.total)


def gpus() -> list[Device]:
    """Every CUDA device that torch sees. Asking opens a context on each, which takes some of its memory."""
    if not torch.cuda.is_available():
        return []
    return [Device(f"cuda:{i}", torch.cuda.get_device_name(i), *torch.cuda.mem_get_info(i))
            for i in range(torch.cuda.device_count())]


def words(d: Device) -> str:
    """A device in one line.

    >>> words(Device("cuda:0", "NVIDIA A100", 30_000_000_000, 40_000_000_000))
    'cuda:0, NVIDIA A100, 30 GB of 40 GB free'
    >>> words(Device("cpu", "CPU, 2 cores", 17_000_000_000, 34_000_000_000))
    'CPU, 2 cores, 17 GB of 34 GB free'
    """
    where = "" if d.device == "cpu" else f"{d.device}, "
    return f"{where}{d.name}, {size(d.free)} of {size(d.total)} free"
