"""A sum of vectors behind a shuffler: every user sends whole numbers with noise of its own, and only the sum is of use.

Source: the vector-sum protocol of Cheu, Joseph, Mao, Peng, Shuffle Private Stochastic Convex Optimization, ICLR 2022
(remembered), as in the code of Zhou & Chowdhury, ICLR 2024: the constant of its proof, 24e4 in b, is left out there and
here, so that b fixes the order of the noise only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import seeds


def grid(users: int, dimension: int) -> int:
    """g: steps from 0 to the largest entry, for so many users in a node of all silos: max(2 sqrt(users), d, 4).

    >>> grid(500, 5)
    45
    """
    return math.ceil(max(2 * math.sqrt(users), dimension, 4))


def coins(users: int, dimension: int, epsilon: float, delta: float) -> int:
    """b: coins of chance 1/4 that each user throws for each entry: g^2 ln(d^2/delta)^2 / (epsilon^2 users)."""
    noise = grid(users, dimension) * math.log(dimension**2 / delta) / epsilon
    return max(1, math.ceil(noise**2 / users))


def bits(users: int, dimension: int, epsilon: float, delta: float) -> int:
    """Bits of an entry of a user's message, a number from 0 to 2 g + b."""
    return (2 * grid(users, dimension) + coins(users, dimension, epsilon, delta)).bit_length()


def vector_sum(vectors: Tensor, reach: float, users: int, dimension: int, epsilon: float, delta: float,
               keys: Tensor) -> Tensor:
    """vectors [C, n, D] of n users of each silo, entries within +-reach -> their sums [C, D] as the analyser has them.

    A user sends floor((v + reach) g / reach + u), u uniform, plus Binomial(b, 1/4), in each entry; the analyser takes
    n b / 4 off the sum of what came, scales it back and takes the shift off. `users`: of all silos in this node, which
    set g and b; keys [C]. n binomials of one user are drawn as one of n b coins, which is the same law.
    """
    C, n, D = vectors.shape
    g, b = grid(users, dimension), coins(users, dimension, epsilon, delta)
    rounding = seeds.uniforms(seeds.fold(keys, 0), n * D, torch.float64).view(C, n, D)
    whole = ((vectors.double() + reach) * (g / reach) + rounding).floor().sum(1)
    return (whole + binomials(n * b, D, seeds.fold(keys, 1)) - n * b / 4) * (reach / g) - n * reach


def binomials(count: int, width: int, keys: Tensor) -> Tensor:
    """[C, width] draws of Binomial(count, 1/4), by the inverse of its distribution."""
    from scipy.stats import binom  # slow to import

    u = seeds.uniforms(keys, width, torch.float64)
    return torch.from_numpy(binom.ppf(u.cpu().numpy(), count, 0.25)).clamp(min=0).to(u)
