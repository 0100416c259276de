"""Who is like whom, by which weights matter to each."""

import torch
from torch import Tensor

from .rows import products


def overlaps(masks: Tensor) -> Tensor:
    """The overlap [C, C] (float64) of masks [C, n] of zeros and ones, from one matrix of their products.

    >>> overlaps(torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    common = products(masks)
    size = common.diagonal()
    apart = size[:, None] + size - 2 * common
    near = 1 - apart / (2 * size[:, None]).clamp(min=1e-300)
    return torch.where(size[:, None] > 0, near, 0.0).fill_diagonal_(1.0)


def choose(near: Tensor, done: float) -> Tensor:
    """Whom each takes with it [C, C] of zeros and ones, of overlaps [C, C], when `done` = t / beta of the way is gone.

    >>> choose(overlaps(torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])), 1.0)[2].tolist()
    [0.0, 0.0, 1.0]
    """
    itself = torch.eye(len(near), dtype=torch.bool, device=near.device)
    others = near[~itself]
    if done > 1 or not len(others):
        return itself.to(near)
    mean, most = others.mean(), others.max()
    return ((near >= (mean + done * (most - mean)).clamp(max=most)) | itself).to(near)
