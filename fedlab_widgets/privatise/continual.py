"""Publishing a running sum after every step: what privacy costs under continual observation, outside any training.

Each record of a stream touches one step. All that is published together costs as much as one Gaussian release of noise
multiplier z, so that mechanisms differ in their error only. Sums cost a factor of log T over publishing once; the
largest of several running sums costs about T^(1/3).

Source: Jain, Raskhodnikova, Sivakumar, Smith, The Price of Differential Privacy under Continual Observation, ICML 2023
(arXiv 2112.00828): the growth of both errors, from its abstract; the mechanisms as in `prefix`; constants ours.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .. import seeds
from .prefix import draws, nodes, sensitivities, toeplitz, up_to

Mechanism = Literal["fresh", "records", "tree", "honaker", "sqrt"]


def noise(mechanism: Mechanism, steps: int, width: int, keys: Tensor, dtype=torch.float64) -> Tensor:
    """The noise [R, steps, width] on each prefix sum, for z = 1 and records of length 1, of R repetitions, keys [R].

    "fresh": noise on every prefix, deviation sqrt(T). "records": noise on every record, deviation sqrt(t). The others
    as in `prefix`. Raises ValueError for another mechanism.
    """
    times = torch.arange(1, steps + 1)
    fresh = draws(keys, 0, times, width, dtype)
    if mechanism == "fresh":
        return math.sqrt(steps) * fresh
    if mechanism == "records":
        return fresh.cumsum(-2)
    if mechanism not in ("tree", "honaker", "sqrt"):
        raise ValueError(f"mechanism = {mechanism!r} is none of fresh, records, tree, honaker, sqrt")
    moved = float(sensitivities(mechanism, steps, steps)[-1])
    if mechanism == "sqrt":
        from scipy.fft import next_fast_len

        n = next_fast_len(2 * steps)   # a product of spectra is a convolution around a circle that is long enough
        c = torch.fft.rfft(torch.from_numpy(toeplitz(steps)).to(keys.device, dtype), n)[:, None]
        return moved * torch.fft.irfft(c * torch.fft.rfft(fresh, n, dim=-2), n, dim=-2)[..., :steps, :]
    levels = [fresh, *(draws(keys, level, times[:steps >> level] << level, width, dtype)
                       for level in range(1, steps.bit_length()))]
    return moved * up_to(nodes(levels, mechanism == "honaker"), times.to(keys.device))


def prefix_sums(stream: Tensor, mechanism: Mechanism, noise_multiplier: float, keys: Tensor) -> Tensor:
    """Running sums [R, T, d] of a stream [T, d] whose records are at most 1 long (L2), published with privacy.

    keys [R]: one for each repetition. All T releases together cost one Gaussian of this noise multiplier, for one
    record more or less. Raises ValueError for an unknown mechanism.

    >>> ones = torch.ones(1000, 1, dtype=torch.float64)
    >>> keys = seeds.keys(0, "stream", 0, torch.arange(20))
    >>> error = {m: float((prefix_sums(ones, m, 1.0, keys) - ones.cumsum(0)).std()) for m in ("fresh", "tree", "sqrt")}
    >>> error["fresh"] > 3 * error["tree"] > 6 * error["sqrt"]
    True
    """
    return stream.cumsum(0) + noise_multiplier * noise(mechanism, *stream.shape, keys, stream.dtype)


def best_interval(steps: int, rho: float, deviations: float = 5.0) -> int:
    """The steps r between two releases for which r + a sqrt(T / (2 rho r)) is least: (a / 2)^(2/3) (T / (2 rho))^(1/3),
    at least 1 and at most T, with a the deviations of noise that an error should not exceed."""
    return min(steps, max(1, round((deviations / 2) ** (2 / 3) * (steps / (2 * rho)) ** (1 / 3))))


def max_sum_recomputed(top: Tensor, rho: float, keys: Tensor, interval: int | None = None) -> Tensor:
    """The largest of several running sums, published every `interval` steps with fresh noise and held in between.

    top [T]: the true largest sum after each step, of records that move it by at most 1; -> [R, T], keys [R]. All
    floor(T / r) releases together are rho-zCDP, each of noise variance (T / r) / (2 rho); before the first it says 0.
    What it holds is at most r steps old: the number of columns does not matter. `interval`: `best_interval` when empty.
    """
    steps = len(top)
    r = best_interval(steps, rho) if interval is None else interval
    at = torch.arange(r, steps + 1, r)
    deviation = math.sqrt(len(at) / (2 * rho))
    said = top[at - 1] + deviation * seeds.normals(keys, len(at), top.dtype)
    held = torch.cat([said.new_zeros(len(said), 1), said], dim=1)
    return held[:, torch.arange(1, steps + 1) // r]


def max_sum_by_trees(stream: Tensor, rho: float, keys: Tensor) -> Tensor:
    """The same, as the largest of d private running sums: a stream [T, d] of records in {0, 1}^d -> [R, T], keys [R].

    A record may be in all columns, length sqrt(d): the noise of each tree has sqrt(d) times its deviation.
    """
    z = math.sqrt(stream.shape[1] / (2 * rho))   # rho-zCDP is a Gaussian of multiplier 1 / sqrt(2 rho)
    return prefix_sums(stream, "tree", z, keys).amax(-1)


def nearly_tied(steps: int, columns: int = 2, dtype=torch.float64) -> Tensor:
    """A stream [T, columns] whose first two sums grow by turns and are never further apart than 1: random streams look
    easier than the worst."""
    stream = np.zeros((steps, columns))
    stream[np.arange(steps), np.arange(steps) % min(2, columns)] = 1
    return torch.from_numpy(stream).to(dtype)
