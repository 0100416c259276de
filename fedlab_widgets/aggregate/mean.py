from typing import Literal

import torch
from pydantic import Field

from ..part import part
from ..slots import Aggregate
from ..types import Kind


@part
class Mean(Aggregate):
    """Average the rows.

    value [D] = sum_k w_k row_k / denominator, with w_k the training rows of client k ("samples"), 1 ("uniform") or
    min(n_k, cap) / cap ("capped"), and the denominator the weights of those who came ("cohort") or the sum that is
    expected of a round ("expected", fixed before it, as central privacy needs).
    The expected sum is taken from the data and treated as public, as the cap is.
    fold: rows [b, D], weights [b] -> running sum [D], in the order of the cohort.
    Raises BadInput for cap below 1. Source: McMahan et al., AISTATS 2017, Algorithm 1 (samples); ICLR 2018 (capped,
    expected).
    """

    tag = "averages"
    takes = frozenset({Kind.VALUES, Kind.RANKS, Kind.BITS})
    folds = True

    weights: Literal["samples", "uniform", "capped"] = Field(
        "samples", description="what a client counts: its rows, the same as all, or its rows up to a cap")
    cap: int = Field(100, ge=1, description="rows that count at most (with weights = capped); public")
    denominator: Literal["cohort", "expected"] = Field(
        "cohort", description="divide by the weights that came, or by those expected (needed for privacy)")

    def weigh(self, sizes):
        sizes = sizes.to(torch.float64)
        if self.weights == "uniform":
            return torch.ones_like(sizes)
        return sizes if self.weights == "samples" else sizes.clamp(max=self.cap) / self.cap

    @property
    def sensitivity(self):
        # A weight above 1, or a denominator that depends on who came, would let one client change more than its bound.
        return 1.0 if self.weights != "samples" and self.denominator == "expected" else None

    @property
    def equal_weights(self):
        return self.weights == "uniform"

    def stands_for(self, count, expected):
        return expected if self.denominator == "expected" else count

    def fold(self, total, rows, weights):
        part = weights.to(rows) @ rows
        return part if total is None else total + part

    def finish(self, total, weights, expected):
        by = expected if self.denominator == "expected" else float(weights.sum())
        return total / by if by > 0 else torch.zeros_like(total)
