"""Synchronising when the data say so tells of the data: the times of messages are public, whatever their noise.

Earlier federated bandits synchronise when a silo's users have brought enough news, det(V) > growth det(V then). The
time of a message then depends on single users, and a fixed schedule of batches does not.
Source: the privacy leak shown by Zhou & Chowdhury, ICLR 2024 (arXiv 2302.13945); this attack is ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sync_times(chosen: Tensor, growth: float = 2.0, ridge: float = 1.0) -> Tensor:
    """After which users a silo synchronises: features of chosen arms [..., T, d] -> [..., T] bool, for the criterion
    det(V) >= growth det(V at the last synchronisation), V = ridge I + sum x x^T.

    >>> sync_times(torch.ones(7, 1)).nonzero().flatten().tolist()   # V = 1 + users: it doubles after users 1, 3 and 7
    [0, 2, 6]
    """
    *front, T, d = chosen.shape
    matrix = (ridge * torch.eye(d, dtype=torch.float64)).expand(*front, d, d)
    then, said = torch.logdet(matrix), []
    for x in chosen.double().unbind(-2):
        matrix = matrix + x[..., :, None] * x[..., None, :]
        now = torch.logdet(matrix)
        said.append(now - then >= math.log(growth) - 1e-9)
        then = torch.where(said[-1], now, then)
    return torch.stack(said, -1)


def suspects(log: Tensor, usual: Tensor, other: Tensor, growth: float = 2.0, ridge: float = 1.0) -> list[int]:
    """Which user it was, read off the times of messages alone: those t for which the stream `usual` [T, d] with user t
    replaced by `other` [d] gives this log [T] bool. Empty where nobody's does: it was `usual`, or yet another.

    >>> usual, other = torch.tensor([[1.0, 0.0]]).repeat(60, 1), torch.tensor([0.0, 1.0])
    >>> secret = usual.clone()
    >>> secret[41] = other
    >>> suspects(sync_times(secret), usual, other)
    [41]
    """
    T = len(usual)
    worlds = usual.repeat(T, 1, 1)
    worlds[torch.arange(T), torch.arange(T)] = other.to(usual)
    return (sync_times(worlds, growth, ridge) == log).all(-1).nonzero().flatten().tolist()
