"""How much noise hides a user of a linear bandit: the published formulas, and what they really promise.

Features have length 1 at most. A user is in one node of each level of the binary tree at most, in kappa nodes of noise.
The formulas of the paper come without their constants, in its code too: they fix the scale of noise, and what holds is
worked out from that scale. Source: Zhou & Chowdhury, ICLR 2024 (arXiv 2302.13945), as in its code; closed form of the
shuffle: Feldman, McMillan, Talwar, FOCS 2021 (arXiv 2012.12803), remembered; `guarantee` is derived here.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from .. import seeds

Privacy = Literal["none", "silo", "shuffle", "vector sum"]


def levels(rounds: int) -> int:
    """kappa = floor(log2(rounds)) + 1: levels of the tree, and nodes that a user is in at most.

    >>> levels(80)
    7
    """
    return rounds.bit_length()


def deviation(privacy: Privacy, epsilon: float, delta: float, rounds: int, users: int, silos: int,
              dimension: int) -> float:
    """sigma, the deviation of the noise on a node of one silo, for `users` met by each silo in all.

    "silo": sqrt(kappa (ln(1/delta) + epsilon)) / epsilon. "shuffle", amplified, for epsilon well below 1:
    sqrt(kappa ln(1/delta) ln(1 + kappa / (users delta)) ln(silos kappa / delta)) / (epsilon sqrt(silos)). "vector sum":
    that of the binomials in `vector_sum`, of all users together sqrt(3 kappa / 16) ln(d^2/delta) / epsilon, of which a
    silo has its part.

    >>> [round(deviation(p, 0.2, 0.1, 80, 2000, 20, 5), 2) for p in ("none", "silo", "shuffle", "vector sum")]
    [0.0, 20.93, 2.24, 7.07]
    """
    if privacy == "none":
        return 0.0
    kappa, log = levels(rounds), math.log(1 / delta)
    if privacy == "silo":
        return math.sqrt(kappa * (log + epsilon)) / epsilon
    if privacy == "vector sum":
        return math.sqrt(3 * kappa / 16 / silos) * math.log(dimension**2 / delta) / epsilon
    inside = kappa * log * math.log1p(kappa / (users * delta)) * math.log(silos * kappa / delta)
    return math.sqrt(inside / silos) / epsilon


def regulariser(sigma: float, rounds: int, silos: int, dimension: int, alpha: float, counted: int) -> float:
    """lambda, which is to outweigh the noise in the Gram matrix with chance 1 - alpha: sqrt(counted kappa) sigma
    (sqrt(kappa + ln(1/alpha)) + sqrt(dimension)), where the noise of `counted` silos is in the sum: of all of them,
    and of one where they are counted wrong. Without noise sqrt(silos).

    >>> round(regulariser(1.0, 80, 20, 5, 0.01, 20) / regulariser(1.0, 80, 20, 5, 0.01, 1), 3)   # sqrt(20)
    4.472
    """
    if not sigma:
        return math.sqrt(silos)
    kappa = levels(rounds)
    return math.sqrt(counted * kappa) * sigma * (math.sqrt(kappa + math.log(1 / alpha)) + math.sqrt(dimension))


def rho(sigma: float, rounds: int, bound: float) -> float:
    """The zCDP of all that a silo sends, for one user more or less: kappa (1 + bound^2) / (2 sigma^2), inf unnoised.

    A user changes a node by x x^T, of length 1, and by x times its reward, at most `bound` long; both have noise of
    deviation sigma in each entry (of the Gram matrix before it is made symmetric, which costs no privacy more).
    """
    return levels(rounds) * (1 + bound**2) / (2 * sigma**2) if sigma else math.inf


def symmetric(d: int, keys: Tensor, dtype: torch.dtype) -> Tensor:
    """Noise [C, D] for a triangle and a vector, of deviation 1: of (N + N^T) / 2, so 1 / sqrt(2) off the diagonal."""
    i, j = torch.triu_indices(d, d)
    scale = torch.cat([torch.where(i == j, 1.0, 0.5**0.5), torch.ones(d)]).to(keys.device, dtype)
    return scale * seeds.normals(keys, len(scale), dtype)


def guarantee(rho: float, delta: float) -> float:
    """epsilon of Gaussian releases that are together rho-zCDP: exact, as of one Gaussian of multiplier
    1 / sqrt(2 rho)."""
    if rho == math.inf:
        return math.inf
    from dp_accounting import get_epsilon_gaussian

    return float(get_epsilon_gaussian(1 / math.sqrt(2 * rho), delta))


def amplifies_up_to(reports: int, delta: float) -> float:
    """The largest local epsilon that `shuffled` covers: ln(reports / (16 ln(2/delta))); below 0 it covers none."""
    return math.log(reports / (16 * math.log(2 / delta)))


def shuffled(epsilon: float, reports: int, delta: float) -> float:
    """epsilon of one set of shuffled reports, each epsilon-locally private (pure): the closed form; the same epsilon,
    which always holds, where the closed form covers nothing.

    >>> round(shuffled(1.0, 10_000, 1e-6), 4), shuffled(1.0, 20, 0.1)
    (0.214, 1.0)
    """
    if epsilon > amplifies_up_to(reports, delta):
        return epsilon
    e = math.exp(epsilon)
    more = 8 * math.sqrt(e * math.log(4 / delta) / reports) + 8 * e / reports
    return min(epsilon, math.log1p((e - 1) / (e + 1) * more))
