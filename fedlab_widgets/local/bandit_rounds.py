"""What a silo does in a round of a linear bandit, and the binary tree over rounds, for C silos side by side."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..types import Cohort, Interrupted, Stop, Tamper, World

POLL = 8   # users between two looks at whether to stop


def users(world: World, cohort: Cohort, batch: int, tamper: Tamper | None) -> Tensor:
    """The features x [C, batch, K, d] of the users whom these silos meet in this round, each in its order."""
    shards = world.shards
    at = shards.offsets[cohort.ids][:, None] + (cohort.round - 1) * batch + torch.arange(batch)
    x, y = shards.gather(at.clamp(max=len(shards.y) - 1).to(world.device))
    return x if tamper is None else tamper(x, y, torch.arange(len(cohort), device=world.device))[0]


def exploration(times: range, lam: float, silos: int, d: int, noise: float, alpha: float) -> list[float]:
    """beta_t = sqrt(lambda) + noise sqrt(d ln(1 + t silos / (d lambda)) + ln(1/alpha)) for the users t of a silo, who
    count from 1, where |theta| and |x| are at most 1."""
    return [math.sqrt(lam) + noise * math.sqrt(d * math.log1p(t * silos / (d * lam)) + math.log(1 / alpha))
            for t in times]


def met(x: Tensor, gram: Tensor, bias: Tensor, theta: Tensor, noise: Tensor, betas: list[float], bound: float,
        fresh: bool, stop: Stop) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of users, one after another, in every silo.

    x [C, B, K, d], gram [C, d, d] (with the regulariser) and bias [C, d] as synchronised, noise [C, B] of the rewards,
    betas [B]; rewards beyond `bound` are cut to it. Each user gets the arm of the largest x . theta_i + beta |x| in
    V_i^-1; if `fresh`, V_i and theta_i heed the users before it in the batch. Returns the features of what each got
    [C, B, d], its reward as it counts [C, B] and its regret [C, B].
    """
    silo, means, got = torch.arange(len(x), device=x.device), x @ theta, []
    for t, beta in enumerate(betas):
        if t % POLL == 0 and stop():
            raise Interrupted
        inverse = torch.linalg.inv_ex(gram)[0]   # which does not raise: noise may leave it singular
        estimate = (inverse @ bias[:, :, None])[:, :, 0]
        arms = x[:, t]
        width = ((arms @ inverse) * arms).sum(2).clamp(min=0).sqrt()   # below 0 where noise outweighs the regulariser
        arm = ((arms * estimate[:, None]).sum(2) + beta * width).argmax(1)
        chosen, mean = arms[silo, arm], means[silo, t, arm]
        reward = (mean + noise[:, t]).clamp(-bound, bound)
        if fresh:
            gram = gram + chosen[:, :, None] * chosen[:, None, :]
            bias = bias + chosen * reward[:, None]
        got.append((chosen, reward, means[:, t].amax(1) - mean))
    return tuple(torch.stack(each, 1) for each in zip(*got, strict=True))


def statistics(chosen: Tensor, rewards: Tensor) -> Tensor:
    """What each user adds to the sums, [C, B, D]: the upper triangle of x x^T, and x times its reward."""
    i, j = torch.triu_indices(chosen.shape[2], chosen.shape[2], device=chosen.device)
    return torch.cat([chosen[..., i] * chosen[..., j], chosen * rewards[..., None]], 2)


def level(n: int) -> int:
    """The level of the node that is sent at the n-th synchronisation: the place of the lowest binary 1 of n.

    >>> [level(n) for n in (1, 2, 3, 4)]
    [0, 1, 0, 2]
    """
    return (n & -n).bit_length() - 1


def closed(nodes: Tensor, n: int, batch: Tensor) -> Tensor:
    """The silos' nodes [..., kappa, D] once the batch n [..., D] is over: node `level(n)` is the sum of the batch and
    of all lower nodes, which are empty then."""
    i = level(n)
    node = nodes[..., :i, :].sum(-2) + batch
    return torch.cat([torch.zeros_like(nodes[..., :i, :]), node[..., None, :], nodes[..., i + 1:, :]], dim=-2)


def released(nodes: Tensor, n: int, came: Tensor) -> Tensor:
    """The server's noisy nodes [kappa, D] once node `level(n)` came [D]; their sum is what all batches add up to."""
    i = level(n)
    return torch.cat([torch.zeros_like(nodes[:i]), came[None], nodes[i + 1:]])
