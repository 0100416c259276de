"""Correlated noise for sums that are published again and again: the mathematics, written once.

Every mechanism publishes the prefix sums of a stream as A G + B Z, A = B C: Z are fresh normals of one deviation, and
what one client can move C G by is the sensitivity. The noise N_t = (B Z)_t on the sum of the first t rounds is built
from earlier draws again, so that N_t - N_(t-1), which goes on the sum of round t, takes some of the last back.

"tree": nodes over 1, 2, 4, ... rounds; N_t adds one node a binary digit of t. "honaker": each node is estimated from
itself and all nodes below. "sqrt": the square root of A, which is Toeplitz: N_t = sum_j c_(t-j) Z_j.

Source: Dwork, Naor, Pitassi, Rothblum 2010 and Chan, Shi, Song 2011 (tree), Honaker 2015, Fichtenberger, Henzinger,
Upadhyay 2023 (square root); all remembered. Sensitivities for clients that come again are derived here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .. import seeds

MECHANISMS = ("tree", "honaker", "sqrt")


def toeplitz(steps: int) -> np.ndarray:
    """The first column c [steps] of the square root of the prefix sum: c_0 = 1, c_k = c_(k-1) (2 k - 1) / (2 k).

    >>> toeplitz(4).tolist()
    [1.0, 0.5, 0.375, 0.3125]
    """
    k = np.arange(1, steps)
    return np.concatenate([[1.0], np.cumprod((2 * k - 1) / (2 * k))])


def draws(key: Tensor, level: int, ends: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """The normals [..., n, width] of the nodes of one level that end at `ends` [n]: the same whenever they are asked
    for; key [...]."""
    return seeds.normals(seeds.fold(key[..., None], ends.to(key.device) + (level << 32)), width, dtype)


def nodes(fresh: list[Tensor], honaker: bool) -> list[Tensor]:
    """The noise of the nodes of each level, [..., T >> level, d], from fresh draws of those shapes.

    Honaker: V = Z + (V_left + V_right) / 2, taken over 2 - 2^-level, whose variance is 1 over that.
    """
    if not honaker:
        return fresh
    values = fresh[:1]
    for own in fresh[1:]:
        left, right = (values[-1][..., side:2 * own.shape[-2]:2, :] for side in (0, 1))
        values.append(own + (left + right) / 2)
    return [v / (2 - 2.0**-level) for level, v in enumerate(values)]


def up_to(values: list[Tensor], t: Tensor) -> Tensor:
    """N_t [..., n, d] for t [n]: one node a binary digit of t, 0 for t = 0."""
    total = torch.zeros((), dtype=values[0].dtype, device=t.device)
    for level, v in enumerate(values):
        on = ((t >> level) & 1).to(v.dtype)[:, None]
        total = total + on * v[..., ((t >> level) - 1).clamp(min=0), :]
    return total


def increment(mechanism: str, t: int, key: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """N_t - N_(t-1) [width] for draws of deviation 1 under the key [] of a run; t from 1.

    Nothing is kept: earlier draws are made again from their keys. sqrt: t draws. Trees: those under the node that ends
    at t, about 2 log2(T) a round on average.
    """
    if mechanism == "sqrt":
        c = torch.from_numpy(np.diff(toeplitz(t), prepend=0.0)[::-1].copy()).to(key.device, dtype)
        return c @ draws(key, 0, torch.arange(1, t + 1), width, dtype)
    size = t & -t   # N_t and N_(t-1) differ only below the node of this many rounds
    fresh = [draws(key, level, torch.arange(t - size + (1 << level), t + 1, 1 << level), width, dtype)
             for level in range(size.bit_length())]
    now, before = up_to(nodes(fresh, mechanism == "honaker"), torch.tensor([size, size - 1], device=key.device))
    return now - before


@lru_cache(maxsize=64)
def variances(mechanism: str, rounds: int) -> np.ndarray:
    """Var N_t [rounds], t = 1 .. rounds, for draws of deviation 1."""
    if mechanism == "sqrt":
        return np.cumsum(toeplitz(rounds) ** 2)
    t = np.arange(1, rounds + 1)
    each = [1.0 if mechanism == "tree" else 1 / (2 - 2.0**-level) for level in range(rounds.bit_length())]
    return sum(((t >> level) & 1) * v for level, v in enumerate(each))


@lru_cache(maxsize=64)
def sensitivities(mechanism: str, rounds: int, separation: int) -> np.ndarray:
    """By how much a client that comes every `separation` rounds moves C G, after each round [rounds]; it brings at
    most 1 each time, and does worst if that is always the same. Coming less often moves less: no entry of C is below 0.

    sqrt: columns fall, so who comes first moves most: |sum_j shift_(j separation) c|. Trees: the root of the sum of
    squares of how often it comes in each node, for the client for which that is largest.

    >>> (sensitivities("tree", 4, 2) ** 2).round().tolist()   # rounds 1 and 3: nodes 1, 1-2, 3 and 1-4, there twice
    [1.0, 2.0, 3.0, 7.0]
    """
    if mechanism == "sqrt":
        c, moved = toeplitz(rounds), np.zeros(rounds)
        for at in range(0, rounds, separation):
            moved[at:] += c[:rounds - at]
        return np.sqrt(np.cumsum(moved**2))
    worst = np.zeros(rounds)
    # Where nobody comes twice, the first client is in most nodes.
    for first in range(1 if separation >= rounds else separation):
        count, squares = np.zeros(rounds), np.zeros(rounds)
        count[first::separation] = 1
        for level in range(rounds.bit_length()):
            step = 1 << level
            use = slice(None, None, 2) if mechanism == "tree" else slice(None)   # no prefix adds a right child's node
            squares[step - 1::step][use] += count[use] ** 2
            count = count[:len(count) // 2 * 2].reshape(-1, 2).sum(1)
        worst = np.maximum(worst, np.cumsum(squares))
    return np.sqrt(worst)
