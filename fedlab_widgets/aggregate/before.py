from __future__ import annotations

from abc import abstractmethod

from pydantic import Field
from torch import Tensor

from ..part import slot
from ..slots import Aggregate
from ..types import Cohort, World
from .mean import Mean
from .rows import finite, gathered


class Before(Aggregate):
    """What is done to rows [C, D] before another rule combines them; all else is that rule's."""

    tag = "before another rule"

    then: slot(Aggregate) = Field(Mean(), description="the rule that combines the rows afterwards")

    @abstractmethod
    def mix(self, world: World, x: Tensor, weights: Tensor, cohort: Cohort) -> tuple[Tensor, Tensor]:
        """rows x [C, D] and weights [C] -> the rows and weights that the next rule is given, C or fewer.

        x is a copy of its own and may be written on.
        """

    @property
    def by_row(self) -> bool:
        """Whether a row is mixed with no other: then blocks go on at once, and need not be kept for this."""
        return False

    @property
    def folds(self):
        return self.by_row and self.then.folds

    def fold(self, total, rows, weights):
        if not self.by_row:
            return [*(total or ()), rows]
        return self.then.fold(total, self.mix(None, finite(rows), weights, None)[0], weights)

    def left(self, count: int) -> int:
        """How many rows become of `count`."""
        return count

    def weigh(self, sizes):
        return self.then.weigh(sizes)

    @property
    def equal_weights(self):
        return self.then.equal_weights

    def init(self, world, space):
        return self.then.init(world, space)

    def combine(self, world, total, weights, expected, cohort, mine):
        if self.by_row:
            return self.then.combine(world, total, weights, expected, cohort, mine)
        x, weights = self.mix(world, gathered(total), weights, cohort)
        return self.then.combine(world, self.then.fold(None, x, weights), weights, expected, cohort[:len(x)], mine)

    def stands_for(self, count, expected):
        return self.then.stands_for(count, expected)

    def warning(self, count):
        return self.then.warning(self.left(count))


def knows_clients(rule: Aggregate) -> str:
    """The name of the rule, this one or one it hands on to, that must know whose each row is; "" if none must."""
    return rule.name if getattr(rule, "by_client", False) else knows_clients(rule.then) if hasattr(rule, "then") else ""
