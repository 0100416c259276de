"""Values with tensors, packed for Ray: the tensors apart, as arrays that every process of a machine reads from the one
copy in its object store. (Torch's own pickles are copied by each reader.)"""

from __future__ import annotations

import io
import pickle
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor


def pack(value: Any) -> list[np.ndarray]:
    """[pickle, tensor, tensor, …] as bytes. Classes from a notebook cell go along by value; tensors leave their device.

    >>> unpack(pack({"w": torch.arange(3.)}))
    {'w': tensor([0., 1., 2.])}
    """
    from ray import cloudpickle

    arrays: list[np.ndarray] = []
    known: dict[int, tuple[int, tuple]] = {}   # the same tensor twice is packed once
    kept = []                                  # an id stands for a tensor as long as it lives

    class Pickler(cloudpickle.CloudPickler):
        def persistent_id(self, thing):
            if type(thing) is not Tensor:
                return None
            if id(thing) not in known:
                flat = thing.detach().cpu().contiguous().view(-1)
                arrays.append(flat.view(torch.uint8).numpy())
                known[id(thing)] = len(arrays), (thing.dtype, tuple(thing.shape))
                kept.append(thing)
            return known[id(thing)]

    file = io.BytesIO()
    Pickler(file, protocol=5).dump(value)
    return [np.frombuffer(file.getbuffer(), np.uint8), *arrays]


def unpack(arrays: list[np.ndarray], device: torch.device | str = "cpu", copy: bool = False) -> Any:
    """The value again, its tensors on a device. Without a copy they read the arrays' own memory, which nobody may
    write."""
    made: dict[int, Tensor] = {}

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, key):
            place, (dtype, shape) = key
            if place not in made:
                made[place] = _tensor(arrays[place], copy).view(dtype).view(shape).to(device)
            return made[place]

    return Unpickler(io.BytesIO(arrays[0])).load()


def _tensor(array: np.ndarray, copy: bool) -> Tensor:
    if copy:
        out = torch.empty(len(array), dtype=torch.uint8)
        out.numpy()[:] = array
        return out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # that it cannot be written is what is wanted
        return torch.from_numpy(array)
