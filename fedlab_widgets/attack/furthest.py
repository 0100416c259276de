"""How far liars can go from the honest mean and still lie no further out than an honest row does."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..aggregate.rows import products
from ..part import part
from .colluding import Colluding, deviation


class Furthest(Colluding):
    """The lie mean + gamma * direction with the largest gamma that a bound allows. Holds the honest rows twice."""

    direction: Literal["unit vector", "sign", "std"] = Field(
        "std", description="away from the mean: along minus the mean, its signs, or the standard deviations")

    @abstractmethod
    def gamma(self, gram: Tensor, along: Tensor, length: Tensor) -> Tensor:
        """The largest gamma [], from products in float64 of what honest rows differ from their mean by: with one
        another [H, H], with the direction [H], and of the direction with itself []."""

    def craft(self, honest, count):
        mean = honest.mean(0)
        way = {"unit vector": lambda: -mean / mean.norm().clamp(min=1e-30), "sign": lambda: -mean.sign(),
               "std": lambda: -deviation(honest)}[self.direction]()
        every = products(torch.cat([honest - mean, way[None]]))
        length = every[-1, -1]
        if length == 0:   # a mean or deviations of zero lead nowhere
            return mean
        return mean + self.gamma(every[:-1, :-1], every[:-1, -1], length).to(mean) * way


@part
class MinMax(Furthest):
    """Liars go as far out as the two honest rows that are furthest apart allow.

    Access: all honest rows. lie: rows [C, D], bad [C] -> mean + gamma p where bad, with the largest gamma for which the
    lie is no further from any honest row than two honest rows are from each other, and p = -mean / |mean|, -sign(mean)
    or -std. Raises BadInput for fields out of range and where all clients lie.
    Source: Shejwalkar, Houmansadr, Manipulating the Byzantine, NDSS 2021, which finds gamma by halving steps; here it
    is the root of a quadratic equation, and so exact.
    """

    def gamma(self, gram, along, length):
        # |lie - x_i|^2 = length g^2 - 2 along_i g + gram_ii <= reach for every i, and gram_ii <= reach for all of them
        square = gram.diagonal()
        reach = (square[:, None] + square - 2 * gram).max()
        return ((along + (along**2 + length * (reach - square).clamp(min=0)).sqrt()) / length).min()


@part
class MinSum(Furthest):
    """Liars go as far out as the honest row that is furthest from all others.

    Access: all honest rows. lie: rows [C, D], bad [C] -> mean + gamma p where bad, with the largest gamma for which the
    lie's sum of squared distances to the honest rows is no more than the largest such sum of an honest row, and
    p = -mean / |mean|, -sign(mean) or -std. Raises BadInput for fields out of range and where all clients lie.
    Source: Shejwalkar, Houmansadr, Manipulating the Byzantine, NDSS 2021, which finds gamma by halving steps; about the
    mean both sums have a common part, and what is left says that |gamma p| is the largest distance from the mean.
    """

    def gamma(self, gram, along, length):
        return (gram.diagonal().max() / length).sqrt()
